// Forward and backward pass of a classifier, for one image. `forward(x)` of a layer returns its output, and
// `backward(g)` the gradient with respect to its last input. Arrays are flat, channels × height × width.
const relu = () => {
  let input;
  return {
    forward: (x) => (input = x).map((value) => Math.max(value, 0)),
    backward: (g) => g.map((value, index) => (input[index] > 0 ? value : 0)),
  };
};

// y = W x + b
function linear({ shape, outputs: [outputs] }, take) {
  const inputs = shape.reduce((a, b) => a * b);
  const weight = take(outputs * inputs);
  const bias = take(outputs);
  return {
    forward: (x) => bias.map((start, o) => x.reduce((sum, value, i) => sum + value * weight[o * inputs + i], start)),
    backward(g) {
      const back = new Float64Array(inputs);
      g.forEach((value, o) => {
        for (let i = 0; i < inputs; i++) back[i] += value * weight[o * inputs + i];
      });
      return Float32Array.from(back);
    },
  };
}

function convolution({ shape: [channels, height, width], outputs: [filters, rows, columns], size, stride, padding }, take) {
  const weight = take(filters * channels * size * size);
  const bias = take(filters);
  // Calls `visit` for each weight and row of the output, with the indices of the first input, the weight and the first
  // output, and how many outputs in the row have an input within the image.
  function visitRows(visit) {
    for (let w = 0; w < weight.length; w++) {
      const [j, i, d, f] = [w % size, Math.floor(w / size) % size, Math.floor(w / size ** 2) % channels, Math.floor(w / size ** 2 / channels)];
      const first = Math.max(0, Math.ceil((padding - j) / stride));
      const last = Math.min(columns - 1, Math.floor((width - 1 + padding - j) / stride));
      for (let r = 0; r < rows; r++) {
        const y = r * stride + i - padding;
        if (y >= 0 && y < height)
          visit((d * height + y) * width + first * stride + j - padding, w, (f * rows + r) * columns + first, last - first + 1);
      }
    }
  }
  return {
    forward(x) {
      const sums = Float64Array.from({ length: filters * rows * columns }, (_, o) => bias[Math.floor(o / (rows * columns))]);
      visitRows((input, w, output, count) => {
        for (let k = 0; k < count; k++) sums[output + k] += x[input + k * stride] * weight[w];
      });
      return Float32Array.from(sums);
    },
    backward(g) {
      const back = new Float64Array(channels * height * width);
      visitRows((input, w, output, count) => {
        for (let k = 0; k < count; k++) back[input + k * stride] += g[output + k] * weight[w];
      });
      return Float32Array.from(back);
    },
  };
}

function maxPool({ shape: [, height, width], outputs: [channels, rows, columns], size }) {
  let chosen, inputs;
  return {
    forward(x) {
      inputs = x.length;
      chosen = Array.from({ length: channels * rows * columns }, (_, o) => {
        const [d, r, c] = [Math.floor(o / (rows * columns)), Math.floor(o / columns) % rows, o % columns];
        let best = (d * height + r * size) * width + c * size;
        for (let i = 0; i < size; i++)
          for (let j = 0; j < size; j++) {
            const index = (d * height + r * size + i) * width + c * size + j;
            if (x[index] > x[best]) best = index;
          }
        return best;
      });
      return Float32Array.from(chosen, (index) => x[index]);
    },
    backward(g) {
      const back = new Float32Array(inputs);
      chosen.forEach((index, o) => (back[index] += g[o]));
      return back;
    },
  };
}

// A factor and a summand for each channel.
function normalisation({ shape: [channels, height, width] }, take) {
  const [factor, summand] = [take(channels), take(channels)];
  const channel = (index) => Math.floor(index / (height * width));
  return {
    forward: (x) => x.map((value, index) => value * factor[channel(index)] + summand[channel(index)]),
    backward: (g) => g.map((value, index) => value * factor[channel(index)]),
  };
}

const KINDS = { Linear: linear, Conv2d: convolution, ReLU: relu, MaxPool2d: maxPool, BatchNorm2d: normalisation };

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function networkOf({ layers, weights }) {
  const bytes = bytesOf(weights);
  // The last byte of each float32 is left out.
  const bits = Uint32Array.from({ length: bytes.length / 3 }, (_, index) =>
    [0, 1, 2].reduce((sum, place) => sum + (bytes[3 * index + place] << (8 * place + 8)), 0),
  );
  const values = new Float32Array(bits.buffer);
  let used = 0;
  const take = (count) => values.subarray(used, (used += count));
  return layers.map((layer) => KINDS[layer.kind](layer, take));
}

const logitsOf = (network, x) => network.reduce((value, layer) => layer.forward(value), x);

// In float32 as torch has it: a probability of 1 is exactly 1, and its gradient 0.
function logSoftmax(logits) {
  const top = logits.reduce((a, b) => Math.max(a, b));
  const shifted = logits.map((value) => value - top);
  const sum = shifted.reduce((total, value) => Math.fround(total + Math.fround(Math.exp(value))), 0);
  return shifted.map((value) => value - Math.fround(Math.log(sum)));
}

const probabilitiesOf = (network, x) => logSoftmax(logitsOf(network, x)).map(Math.exp);

// The gradient of the cross-entropy −log p[label] with respect to the pixels.
function gradientOf(network, x, label) {
  const error = probabilitiesOf(network, x);
  error[label] -= 1;
  return network.reduceRight((g, layer) => layer.backward(g), error);
}

// x' = clip(x + P(start + step · sign ∇L − x), 0, 1), where P keeps each pixel within ε; towards a class: minus.
function attackStep(network, clean, start, { label, targeted, step, epsilon }) {
  const gradient = gradientOf(network, start, label);
  return start.map((value, index) => {
    const moved = value + (targeted ? -step : step) * Math.sign(gradient[index]);
    const within = clean[index] + Math.min(Math.max(moved - clean[index], -epsilon), epsilon);
    return Math.min(Math.max(within, 0), 1);
  });
}
