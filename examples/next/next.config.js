// The hook is a package in TypeScript.
export default { transpilePackages: ["use-classifier"] };
