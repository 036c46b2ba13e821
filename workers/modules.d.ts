// The page's files, which wrangler.toml's rules bundle as text.

declare module "*.html" {
  const text: string;
  export default text;
}

declare module "*.css" {
  const text: string;
  export default text;
}

declare module "*/web/commands.js" {
  const text: string;
  export default text;
}

declare module "*/web/domain.js" {
  const text: string;
  export default text;
}

declare module "*/web/edge.js" {
  const text: string;
  export default text;
}

declare module "*/web/elements.js" {
  const text: string;
  export default text;
}

declare module "*/web/format.js" {
  const text: string;
  export default text;
}

declare module "*/web/hashes.js" {
  const text: string;
  export default text;
}

declare module "*/web/holders.js" {
  const text: string;
  export default text;
}

declare module "*/web/lookup.js" {
  const text: string;
  export default text;
}

declare module "*/web/map.js" {
  const text: string;
  export default text;
}

declare module "*/web/names.js" {
  const text: string;
  export default text;
}

declare module "*/web/network.js" {
  const text: string;
  export default text;
}

declare module "*/web/object.js" {
  const text: string;
  export default text;
}

declare module "*/web/page.js" {
  const text: string;
  export default text;
}

declare module "*/web/tree.js" {
  const text: string;
  export default text;
}

declare module "*/web/versions.js" {
  const text: string;
  export default text;
}
