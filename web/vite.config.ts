import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';
import { HEADERS, POLICY } from './src/headers.ts';

const RUNTIME = 'node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded';
const bytes = (file: string) => statSync(new URL(file, import.meta.url)).size;

/** Hosts that set no headers have the policy, too. */
const policy: Plugin = {
  name: 'policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY },
      injectTo: 'head-prepend',
    },
  ],
};

/** Tells the service worker what the page is made of, but for the runtime that needs WebGPU. */
const precache: Plugin = {
  name: 'precache',
  enforce: 'post',
  generateBundle(_, bundle) {
    const worker = bundle['service-worker.js'];
    if (worker?.type !== 'chunk') throw new Error('the service worker is missing');
    const digest = createHash('sha256');
    for (const file of Object.values(bundle)) digest.update(file.type === 'chunk' ? file.code : file.source);
    const files = Object.keys(bundle).filter((file) => !/^(index.html|service-worker.js)$|jspi/.test(file));
    worker.code = worker.code
      .replace('__FILES__', JSON.stringify(['./', 'icon.svg', 'manifest.webmanifest', ...files]))
      .replaceAll('__VERSION__', JSON.stringify(digest.digest('hex')));
  },
};

export default defineConfig({
  base: './', // for any folder of any host
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser'] },
  assetsInclude: ['**/*.onnx'],
  define: {
    __BYTES__: JSON.stringify({
      encoder: bytes('models/fast-encoder.onnx'),
      decoder: bytes('models/fast-decoder.onnx'),
      wasm: bytes(`${RUNTIME}.wasm`),
      webgpu: bytes(`${RUNTIME}.jspi.wasm`),
    }),
  },
  worker: { format: 'es' },
  plugins: [policy, precache],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // the policy allows no data in addresses
    modulePreload: false,
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: { index: 'index.html', 'service-worker': 'src/service-worker.ts' },
      output: {
        entryFileNames: ({ name }) =>
          name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js',
      },
    },
  },
  preview: { headers: HEADERS },
});
