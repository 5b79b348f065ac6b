const METADATA_PROPS = 14; // of ModelProto; its entries have a key (1) and a value (2)
const BYTES = 2; // the wire type of texts and messages: a length, and as many bytes

/** The metadata of an ONNX file, which ONNX Runtime Web reads but does not tell. */
export function readMetadata(file: Uint8Array): Map<string, string> {
  const text = new TextDecoder();
  const entries = new Map<string, string>();
  for (const [field, entry] of fields(file)) {
    if (field !== METADATA_PROPS) continue;
    const parts = new Map(fields(entry));
    entries.set(text.decode(parts.get(1)), text.decode(parts.get(2)));
  }
  return entries;
}

/** The texts and messages of a protobuf message, by the numbers of their fields. */
function* fields(message: Uint8Array): Generator<[number, Uint8Array]> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = message[at++];
      value += (byte % 128) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const value = varint(); // in the messages read here, all else is a varint
    if (key % 8 !== BYTES) continue;
    yield [Math.floor(key / 8), message.subarray(at, (at += value))];
  }
}
