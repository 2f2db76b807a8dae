// One step of the model: the ONNX graph that course/site/page_onnx.py writes, run by onnxruntime-web.

/** The runtime. `folder` is its address, with a slash at its end. */
export async function prepare(folder) {
  let ort;
  try {
    ort = await import(new URL("ort.wasm.min.mjs", folder).href);
  } catch (error) {
    throw new Error(`the runtime in ${folder} could not be loaded (${error.message})`);
  }
  ort.env.wasm.numThreads = 1; // more would need headers that simple web servers do not send
  ort.env.wasm.wasmPaths = folder;
  return ort;
}

/** The model of a graph's bytes. */
export async function load(ort, graph, facts) {
  return new Model(ort, await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] }), facts);
}

class Model {
  constructor(ort, session, { layers, heads, width, vocabulary }) {
    Object.assign(this, { ort, session, layers, heads, vocabulary, headWidth: width / heads });
    this.last = Promise.resolve();
  }

  /** The `past` of a story that has not begun. */
  nothing() {
    return new this.ort.Tensor("float32", new Float32Array(0), [this.layers, 2, this.heads, 0, this.headWidth]);
  }

  /**
   * Read ids after `past`.
   * @param wanted which of present, attention and lens are given
   * @returns {present, attention, lens}: the first is the next step's `past`, the others are arrays of numbers
   */
  async read(ids, past, wanted = ["present", "attention", "lens"]) {
    for (const id of ids) {
      if (!Number.isInteger(id) || id < 0 || id >= this.vocabulary) {
        throw new RangeError(`id ${id} is outside the vocabulary (0 to ${this.vocabulary - 1})`);
      }
    }
    const feeds = { ids: new this.ort.Tensor("int32", Int32Array.from(ids), [1, ids.length]), past };
    // One run at a time: the next waits for this one, whether it succeeds or not.
    const run = this.last.then(() => this.session.run(feeds, wanted));
    this.last = run.catch(() => {});
    const found = await run;
    return { present: found.present, attention: found.attention?.data, lens: found.lens?.data };
  }
}
