// The page's files, which wrangler.toml's rules bundle as text.

declare module "*.html" {
  const text: string;
  export default text;
}

declare module "*.css" {
  const text: string;
  export default text;
}

declare module "*/web/page.js" {
  const text: string;
  export default text;
}
