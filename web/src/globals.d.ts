/** Sizes of files in bytes, set by vite.config.ts: hosts that compress do not tell them. */
declare const __BYTES__: Record<'encoder' | 'decoder' | 'wasm' | 'webgpu', number>;
