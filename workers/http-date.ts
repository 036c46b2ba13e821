// HTTP-date (RFC 9110 5.6.7): the form that is sent today and the two old ones, and nothing else. `Date.parse` takes
// far more, and a date that one server reads and another does not is a condition that they answer differently.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const LONG_DAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day";
const MONTH = `(?<month>${MONTHS.join("|")})`;
const TIME = String.raw`(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)`;
const FORMS = [
  new RegExp(String.raw`^${DAY}, (?<day>\d\d) ${MONTH} (?<year>\d{4}) ${TIME} GMT$`),
  new RegExp(String.raw`^${LONG_DAY}, (?<day>\d\d)-${MONTH}-(?<year>\d\d) ${TIME} GMT$`),
  new RegExp(String.raw`^${DAY} ${MONTH} (?<day>[ \d]\d) ${TIME} (?<year>\d{4})$`),
];
/** A year of two digits lies at most this far ahead, else in the past. */
const YEARS_AHEAD_MAX = 50;

/** Seconds since 1970, or null where the text is not an HTTP-date or not a day that exists. */
export function parseHttpDate(text: string, nowMs = Date.now()): number | null {
  const fields = FORMS.map((form) => form.exec(text)?.groups).find((groups) => groups !== undefined);
  if (fields === undefined) return null;
  const { year = "", month = "", day, hour, minute, second } = fields;
  const wanted = [fullYear(year, nowMs), MONTHS.indexOf(month), ...[day, hour, minute, second].map(Number)];
  const [y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0] = wanted;
  const ms = Date.UTC(y, mo, d, h, mi, s);
  const date = new Date(ms);
  const read = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const isReal = read.every((value, i) => value === wanted[i]) && h < 24 && mi < 60 && s < 60;
  return isReal ? ms / 1000 : null;
}

function fullYear(text: string, nowMs: number): number {
  if (text.length === 4) return Number(text);
  const latest = new Date(nowMs).getUTCFullYear() + YEARS_AHEAD_MAX;
  return latest - ((latest - Number(text)) % 100);
}
