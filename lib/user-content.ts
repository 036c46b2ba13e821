// What keeps strangers' bytes from acting in a server's name once a browser has them: policies, which types may be shown
// at all, and no service workers. Every host of the protocol sends these; a client that verifies does not look at them.

import { HoldfastError } from "./error.ts";

/**
 * For objects. All of an edge are at one origin: each page gets an origin of its own, and no scripts and forms. Its links
 * may download files, and open windows; what opens there is not in the sandbox, or sites elsewhere would come without
 * scripts. `script-src` says it a second time, and is what stops XSLT, which has led out of sandboxes.
 */
export const OBJECT_POLICY =
  "sandbox allow-downloads allow-popups allow-popups-to-escape-sandbox; script-src 'none'";

/** For all else that is not a page of our own: no browser may take it for a page, a script or a frame. */
export const INERT_POLICY = "default-src 'none'; sandbox";

/** Browsers send it when they fetch a service worker's script, and let no page set it. */
const SERVICE_WORKER_HEADER = "Service-Worker";

/** Types that browsers show as text, pictures, sound, or as a page under OBJECT_POLICY. */
const SHOWN = new Set([
  "application/javascript",
  "application/json",
  "application/pdf",
  "application/wasm",
  "application/xhtml+xml",
]);
const SHOWN_FAMILIES = ["audio/", "font/", "image/", "text/", "video/"];
/** XML that is neither a page nor a picture is shown by way of XSLT, or not at all. */
const NEVER_SHOWN = new Set(["text/xml", "text/xsl"]);

/**
 * True for what a browser is to save and not to show: formats that carry a page's own headers or origin (multipart,
 * MHTML, exchanges), plug-ins' formats, bare XML, and whatever nobody has thought of. A comma would let a browser read
 * another type than we do.
 */
export function isAttachment(contentType: string): boolean {
  const [type = ""] = contentType.toLowerCase().split(";");
  const essence = type.trim();
  if (contentType.includes(",") || NEVER_SHOWN.has(essence)) return true;
  return !SHOWN.has(essence) && !SHOWN_FAMILIES.some((family) => essence.startsWith(family));
}

/** Throws `service-worker-refused` for a request that would make a service worker of what is answered. */
export function refuseServiceWorker(headers: { has(name: string): boolean }): void {
  if (!headers.has(SERVICE_WORKER_HEADER)) return;
  throw new HoldfastError(
    "service-worker-refused",
    "nothing here is a service worker: it would answer for the whole origin",
  );
}
