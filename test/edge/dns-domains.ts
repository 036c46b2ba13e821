// What the DNS of the edges under test and their tests agree on: domains, and the fill byte of each one's key.

export const LIMITED_DOMAINS = ["busy.example.org", "calm.example.org"];
export const LIMITED_KEY_FILL = 41;
export const REBUILT_DOMAIN = "rebuilt.example.org";
export const REBUILT_KEY_FILL = 42;
export const NEIGHBOUR_DOMAIN = "neighbour.example.org";
export const NEIGHBOUR_KEY_FILL = 43;

export const DNS_KEYS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(LIMITED_DOMAINS.map((domain) => [domain, LIMITED_KEY_FILL])),
  [REBUILT_DOMAIN]: REBUILT_KEY_FILL,
  [NEIGHBOUR_DOMAIN]: NEIGHBOUR_KEY_FILL,
};
