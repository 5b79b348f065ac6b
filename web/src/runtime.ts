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

/** The fastest runtime that this browser has: on its GPU, else on as many threads as it allows. */
export async function loadRuntime(fetchFile: Fetch): Promise<Runtime> {
  if (await hasWebGpu()) {
    try {
      return await webGpu(fetchFile);
    } catch (error) {
      console.warn('WebGPU is not used:', error);
    }
  }
  return webAssembly(fetchFile);
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
  const numThreads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  Object.assign(ort.env.wasm, { wasmPaths: { mjs }, wasmBinary: binary, numThreads });
  return { ort, providers: ['wasm'] };
}
