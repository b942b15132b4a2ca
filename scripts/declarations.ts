// Declarations as users' compilers read them: whatever their settings leave out - WebGPU, the DOM - they need not
// bring.

/** Names that a compiler knows from its own libraries, or from `@webgpu/types`, or not at all. */
const PLATFORM = [
  ...["GPU", "GPUAdapter", "GPUBindGroup", "GPUBindGroupLayout", "GPUBuffer", "GPUCommandEncoder"],
  ...["GPUComputePipeline", "GPUDevice", "GPUSupportedLimits"],
  ...["HTMLCanvasElement", "HTMLImageElement", "HTMLVideoElement", "ImageBitmap", "OffscreenCanvas"],
  ...["AbortSignal", "Blob", "Response", "URL", "VideoFrame"],
];

/** A text's code without comments and texts in quotes. */
const codeOf = (text: string): string => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$|"(?:[^"\\]|\\.)*"/gm, "");

/**
 * A declaration file that says of each such name: the class where there is one, else nothing. What it says of
 * `Symbol.dispose` brings the compiler's own library of it along.
 */
export function selfContained(text: string): string {
  const code = codeOf(text);
  const aliases = PLATFORM.filter((name) => new RegExp(`\\b${name}\\b`).test(code)).map(
    (name) => `type ${name} = typeof globalThis extends { ${name}: { prototype: infer T } } ? T : never;\n`,
  );
  const library = /\bSymbol\.dispose\b|\bDisposable\b/.test(code) ? '/// <reference lib="esnext.disposable" />\n' : "";
  return `${library}${text}${aliases.join("")}`;
}
