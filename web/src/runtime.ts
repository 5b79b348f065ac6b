import type { InferenceSession } from 'onnxruntime-web';
import gpuMjs from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url';
import gpuWasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url';
import mjs from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';

type Ort = typeof import('onnxruntime-web');

/** ONNX Runtime, and what it computes with. */
export interface Runtime {
  ort: Ort;
  providers: InferenceSession.ExecutionProviderConfig[];
}

/** Reads a file of the page's, of a known size in bytes. */
export type Fetch = (url: string, size: number) => Promise<Uint8Array<ArrayBuffer>>;

const MAX_THREADS = 8; // more hardly help, as they wait for each other after each layer

/** What loads the runtimes that this browser may have, the fastest first: on its GPU, and on its cores. */
export async function runtimes(): Promise<((fetchFile: Fetch) => Promise<Runtime>)[]> {
  return (await hasWebGpu()) ? [webGpu, webAssembly] : [webAssembly];
}

/** Whether there is a real GPU, and WebAssembly can wait for it. */
async function hasWebGpu(): Promise<boolean> {
  if (!('gpu' in navigator) || !('Suspending' in WebAssembly)) return false;
  const gpu = navigator.gpu as { requestAdapter(): Promise<Adapter | null> };
  const adapter = await gpu.requestAdapter().catch(() => null);
  return adapter !== null && !adapter.info.isFallbackAdapter;
}

/** What is asked of WebGPU here; TypeScript does not know it yet. */
interface Adapter {
  info: { isFallbackAdapter?: boolean };
}

async function webGpu(fetchFile: Fetch): Promise<Runtime> {
  const [ort, binary] = await Promise.all([
    import('onnxruntime-web/jspi'),
    fetchFile(gpuWasm, __BYTES__.webgpu),
  ]);
  Object.assign(ort.env.wasm, { wasmPaths: { mjs: gpuMjs }, wasmBinary: binary });
  return { ort, providers: ['webgpu', 'wasm'] };
}

async function webAssembly(fetchFile: Fetch): Promise<Runtime> {
  const [ort, binary] = await Promise.all([
    import('onnxruntime-web/wasm'),
    fetchFile(wasm, __BYTES__.wasm),
  ]);
  const numThreads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MAX_THREADS) : 1;
  Object.assign(ort.env.wasm, { wasmPaths: { mjs }, wasmBinary: binary, numThreads });
  return { ort, providers: ['wasm'] };
}
