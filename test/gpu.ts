// One device for all GPU tests of the process, and suites that watch it: a GPU error fails the test that caused it, and
// so does memory that a test leaves behind.

import { createDevice, type Device, DeviceError, openScope, type Scope } from "../engine/index.ts";
import { addGuard, atEnd, type Suite, type SuiteOptions, suite } from "./harness.ts";

const opened: Device | DeviceError = await createDevice().catch((error: unknown) => {
  if (error instanceof DeviceError) return error;
  throw error;
});
if (!(opened instanceof DeviceError)) {
  atEnd(() => opened.dispose());
  // Whatever a test left pending is run within it; `sync` throws the GPU errors since the last wait.
  addGuard({ begin: () => opened.sync(), end: () => opened.sync() });
}

/** The device that all GPU tests share; tensors are made on it by default. */
export function device(): Device {
  if (opened instanceof DeviceError) throw opened;
  return opened;
}

/**
 * A suite that needs an adapter, but not the shared device: its tests open devices of their own, or start processes
 * that do.
 */
export function adapterSuite(name: string, options: SuiteOptions = {}): Suite {
  const missing = opened instanceof DeviceError ? opened.message : undefined;
  return suite(name, { ...options, skip: missing ?? options.skip, lacksAdapter: missing !== undefined });
}

/**
 * A suite whose tests run on the shared device, each in a scope of its own: what a test makes is freed when it ends,
 * and the test fails if buffers remain in use after that. It is skipped where there is no adapter.
 */
export function gpuSuite(name: string, options: SuiteOptions = {}): Suite {
  const test = adapterSuite(name, options);
  let scope: Scope | undefined;
  let before = 0;
  test.beforeEach(async () => {
    await device().sync();
    before = device().memory().buffers;
    scope = openScope();
  });
  test.afterEach(async () => {
    scope?.dispose();
    await device().sync();
    const left = device().memory().buffers - before;
    if (left > 0) throw new Error(`the test leaves ${left} more buffers in use than there were before it`);
  });
  return test;
}
