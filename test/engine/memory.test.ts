// Ownership: scopes, use after dispose, no growth, reuse of memory, the leak count.

import { inspect } from "node:util";
import { BufferPool, MOST_MAPPED } from "../../engine/buffers.ts";
import * as s from "../../engine/index.ts";
import { collect } from "../collect.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf, rejectionOf } from "./messages.ts";

const test = gpuSuite("memory");

test("a scope frees all but what it returns", async () => {
  const before = device().memory().buffers;
  const kept = s.scope(() => {
    const a = s.full([1000], 1);
    return { sum: s.add(a, a), list: [s.mul(a, 3)] };
  });
  await device().sync();
  assert.is(device().memory().buffers - before, 2);
  assert.equal(
    [...(await kept.sum.read()).slice(0, 2), ...(await (kept.list[0] as s.Tensor).read()).slice(0, 1)],
    [2, 2, 3],
  );
});

test("using closes scopes and tensors", async () => {
  const before = device().memory().buffers;
  {
    using _scope = s.openScope();
    using x = s.full([10], 1);
    s.exp(s.mul(x, 2));
  }
  await device().sync();
  assert.is(device().memory().buffers, before);
});

test("an outer scope takes what an inner one returns", async () => {
  const before = device().memory().buffers;
  s.scope(() => {
    s.scope(() => s.full([4], 1));
  });
  await device().sync();
  assert.is(device().memory().buffers, before);
});

test("a disposed tensor is refused by name", async () => {
  const x = s.tensor([[1, 2]]);
  x.dispose();
  const gone = "a tensor must be alive; got f32[1, 2], which was disposed. Keep it out of the scope that freed it.";
  assert.is(
    messageOf(() => s.add(x, 1)),
    `DisposedError: add: ${gone}`,
  );
  assert.is(await rejectionOf(x.read()), `DisposedError: read: ${gone}`);
  x.dispose();
});

test("an async function is refused by scope, noGrad and grad, and its failure ends no process", async () => {
  const hint = "fn must be synchronous; got a promise. Await reads outside, after returning the tensors.";
  const fails = () => Promise.reject(new Error("later"));
  assert.is(
    messageOf(() => s.scope(fails)),
    `ArgumentError: scope: ${hint}`,
  );
  assert.is(
    messageOf(() => s.noGrad(fails)),
    `ArgumentError: noGrad: ${hint}`,
  );
  assert.is(
    messageOf(() => s.grad(fails as never)(s.ones([1]))),
    `ArgumentError: grad: ${hint}`,
  );
  assert.is(await rejectionOf(s.capture({}, fails)), `ArgumentError: capture: ${hint}`);
  assert.ok(s.square(s.ones([1]).requiresGrad()).isDifferentiable, "recording goes on");
  // The harness fails a test in which a rejection goes astray.
  await new Promise((resolve) => setTimeout(resolve, 5));
});

test("a tensor prints as one line", () => {
  const x = s.tensor([[1, 2]]).requiresGrad();
  assert.is(inspect(x), "Tensor f32[1, 2]");
  assert.is(inspect({ x }), "{ x: Tensor f32[1, 2] }");
  assert.is(JSON.stringify({ x }), '{"x":"Tensor f32[1, 2]"}');
  assert.is(`${x}`, "Tensor f32[1, 2]");
});

test("a thousand eager steps do not grow memory", async () => {
  const w = s.full([64, 8], 0.1).requiresGrad();
  const x = s.full([16, 64], 0.5);
  const step = () =>
    s.scope(() => {
      w.zeroGrad();
      s.backward(s.mean(s.square(s.matmul(x, w))));
      s.copyInto(w, s.sub(w, s.mul(w.grad, 0.01)));
    });
  for (let i = 0; i < 20; i++) step();
  await device().sync();
  const { bytes, buffers, pooled } = device().memory();
  for (let i = 0; i < 980; i++) step();
  await device().sync();
  assert.equal([device().memory().bytes, device().memory().buffers], [bytes, buffers]);
  assert.ok(device().memory().pooled <= pooled, "the pool grew");
});

test("values consumed within one submission share memory", async () => {
  device().pool.trim();
  const bytes = device().memory().bytes;
  const y = s.scope(() => {
    let x = s.full([1 << 16], 1);
    for (let i = 0; i < 20; i++) x = s.scope(() => s.add(x, 1));
    return x;
  });
  await y.read();
  const { bytes: now, pooled } = device().memory();
  assert.ok(now + pooled - bytes < 21 * (1 << 18), `${now + pooled - bytes} bytes for a chain of 20`);
});

test("a buffer beyond the adapter's limit is refused at the call", () => {
  const limit = Math.min(device().gpu.limits.maxBufferSize, device().gpu.limits.maxStorageBufferBindingSize);
  const n = Math.floor(limit / 4) + 4;
  const bytes = Math.ceil((4 * n) / 16) * 16;
  assert.is(
    messageOf(() => s.zeros([n])),
    `DeviceError: f32[${n}]: a tensor must fit in one binding of the device (maxStorageBufferBindingSize, maxBufferSize); got ${bytes} bytes, the limit is ${limit}. Use smaller batches, or split it.`,
  );
});

test("several tensors are read with one wait", async () => {
  const [a, b, c] = [s.tensor([1, 2, 3]), s.tensor(Int32Array.of(-4)), s.zeros([0, 2])];
  const submits = device().stream.counters.submits;
  const [x, y, z] = await s.read([a, b, c]);
  assert.equal([[...(x as Float32Array)], [...(y as Int32Array)], z?.length], [[1, 2, 3], [-4], 0]);
  assert.is(device().stream.counters.submits - submits, 1);
});

test("a forgotten tensor is counted once it is collected", async () => {
  const before = device().memory().leaked;
  s.keep(s.full([8], 1));
  await collect(() => device().memory().leaked > before, 40);
  assert.is(device().memory().leaked, before + 1);
});

test("a host write comes after the pending write that made the tensor", async () => {
  const x = s.zeros([2]);
  x.write([1, 2]);
  assert.equal([...(await s.add(x, 1).read())], [2, 3]);
});

test("the pool lets go of what is far too much", async () => {
  device().pool.trim();
  s.scope(() => {
    for (let i = 0; i < 2500; i++) s.full([3], i);
  });
  s.scope(() => s.full([3], 1));
  await device().sync();
  s.scope(() => s.full([3], 1));
  await device().sync();
  assert.ok(device().memory().pooled <= 1024 * 256, `${device().memory().pooled} bytes pooled`);
});

/** A device that only counts: bytes of buffers that were made and not destroyed. */
function countingDevice() {
  const held = new Set<object>();
  const createBuffer = ({ size }: { readonly size: number }) => {
    const buffer = { size, destroy: () => void held.delete(buffer) };
    held.add(buffer);
    return buffer;
  };
  const limits = { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 31 };
  return { gpu: { limits, createBuffer } as unknown as GPUDevice, held };
}

const MB = 2 ** 20;

test("free bytes are bounded by what lived at once, and sizes that nobody asks for go first", () => {
  const { gpu, held } = countingDevice();
  const pool = new BufferPool(gpu);
  const sizes = [100, 101, 102, 103].map((each) => each * MB);
  for (const bytes of sizes) {
    pool.give(pool.take(bytes));
    pool.settle();
  }
  // Twice the 103 MB that lived.
  assert.ok(pool.report.pooled <= 206 * MB * 1.125, `${pool.report.pooled} bytes pooled`);
  const left = pool.report.pooled;
  pool.give(pool.take(103 * MB));
  assert.is(pool.report.pooled, left);
  pool.trim();
  assert.equal([held.size, pool.report.pooled], [0, 0]);
});

test("buffers that were made before an error came up are not used again, those made after it are", () => {
  const { gpu, held } = countingDevice();
  const pool = new BufferPool(gpu);
  const [live, idle] = [pool.take(1000), pool.take(1000)];
  pool.give(idle);
  pool.doubt();
  assert.is(held.has(idle), false);
  pool.give(live);
  // What was encoded with it may not have been submitted yet.
  assert.is(held.has(live), true);
  pool.settle();
  assert.equal([held.size, pool.report.pooled, pool.report.bytes], [0, 0, 0]);
  const next = pool.take(2000);
  pool.give(next);
  assert.is(pool.take(2000), next);
  pool.dispose();
  assert.is(held.size, 0);
  pool.give(next);
});

test("trim gives back what is free", async () => {
  s.scope(() => s.full([1000], 1));
  device().trim();
  assert.is(device().memory().pooled, 0);
});

test("more buffers than the driver can map are refused while there is time", () => {
  const pool = new BufferPool(device().gpu, 4);
  const taken = [1, 300, 300, 9000].map((bytes) => pool.take(bytes));
  assert.is(
    messageOf(() => pool.check(16, "f32[4]")),
    "DeviceError: f32[4]: at most 4 tensors can live at once on this adapter; got one more. Free what is done with by scope() or dispose(); what is forgotten goes only at an await.",
  );
  // Free ones make room.
  pool.give(taken[1] as GPUBuffer);
  pool.check(16, "f32[4]");
  assert.equal(pool.report.pooled, 0);
  for (const buffer of [taken[0], taken[2], taken[3]]) pool.give(buffer as GPUBuffer);
  pool.trim();
  const { info, pool: own } = device();
  if (info.isSoftware) assert.ok(MOST_MAPPED < 65_530 && own.report.buffers < MOST_MAPPED);
});
