// A small test harness: suites, hooks, time limits and guards. Comparisons and their diffs come from uvu. It differs
// from uvu's own runner on purpose: a suite needs no `.run()` that could be forgotten, a test that never settles fails,
// and so do a suite without tests, a failing hook, a stray rejection and whatever a guard finds.

import * as assert from "uvu/assert";

export { assert };

type Body = () => unknown;

/** Options of `suite`. */
export interface SuiteOptions {
  /**
   * Why this suite cannot run here; it is printed, and counts as a failure where `CI` is set, unless the suite is
   * optional.
   */
  readonly skip?: string | undefined;
  /** It needs something that no machine can be asked to have. */
  readonly isOptional?: boolean;
  /**
   * It is skipped for want of a WebGPU adapter: where `--no-adapter` says that there may be none, that is no failure.
   */
  readonly lacksAdapter?: boolean;
  /** Milliseconds until a test of the suite fails; default 60 000. */
  readonly timeout?: number;
}

/** Adds a test; `suite(name)` returns one. */
export interface Suite {
  (name: string, body: Body): void;
  /** Runs once before the first test that is not filtered out. */
  before(body: Body): void;
  /** Runs once after the last test. */
  after(body: Body): void;
  beforeEach(body: Body): void;
  afterEach(body: Body): void;
}

/** Looks at something around every test: `begin` before, `end` after; a throw of `end` fails the test. */
export interface Guard {
  begin(): unknown;
  end(): unknown;
}

interface SuiteRecord {
  readonly name: string;
  readonly file: string;
  readonly skip: string | undefined;
  readonly isOptional: boolean;
  readonly lacksAdapter: boolean;
  readonly timeout: number;
  readonly tests: { readonly name: string; readonly body: Body }[];
  readonly hooks: Record<"before" | "after" | "beforeEach" | "afterEach", Body[]>;
}

/** What became of one suite. */
export interface SuiteResult {
  readonly passed: number;
  readonly failures: readonly { readonly test: string; readonly error: unknown }[];
  readonly ms: number;
}

const suites: SuiteRecord[] = [];
const guards: Guard[] = [];
const finalizers: Body[] = [];
const strays: unknown[] = [];
let currentFile = "";

/** Declares a suite: `const test = suite("shape"); test("broadcasts", () => { ... });`. */
export function suite(name: string, options: SuiteOptions = {}): Suite {
  const { record, test } = draftSuite(name, options);
  suites.push(record);
  return test;
}

/** A suite that is not declared, for the harness's own test. */
export function draftSuite(name: string, options: SuiteOptions = {}): { record: SuiteRecord; test: Suite } {
  const record: SuiteRecord = {
    name,
    file: currentFile,
    skip: options.skip,
    isOptional: options.isOptional ?? false,
    lacksAdapter: options.lacksAdapter ?? false,
    timeout: options.timeout ?? 60_000,
    tests: [],
    hooks: { before: [], after: [], beforeEach: [], afterEach: [] },
  };
  const add = (test: string, body: Body): void => {
    if (record.tests.some((other) => other.name === test)) {
      throw new Error(`suite ${name} has two tests named "${test}".`);
    }
    record.tests.push({ name: test, body });
  };
  const hook = (kind: keyof SuiteRecord["hooks"]) => (body: Body) => void record.hooks[kind].push(body);
  const test = Object.assign(add, {
    before: hook("before"),
    after: hook("after"),
    beforeEach: hook("beforeEach"),
    afterEach: hook("afterEach"),
  });
  return { record, test };
}

/** Puts a guard around every test of the process, of all files. */
export const addGuard = (guard: Guard): void => void guards.push(guard);

/** Runs `body` when all suites are done, e.g. to dispose a shared device. */
export const atEnd = (body: Body): void => void finalizers.push(body);

/** The error that `body` throws or rejects with; fails if there is none. */
export async function errorOf(body: Body): Promise<Error> {
  try {
    await body();
  } catch (error) {
    assert.instance(error, Error);
    return error as Error;
  }
  throw new assert.Assertion({
    message: "Expected an error, got none",
    operator: "errorOf",
    expects: Error,
    actual: undefined,
  });
}

/** Asserts that `body` throws or rejects with an error of that class name and that message, word for word. */
export async function failsWith(body: Body, name: string, message: string): Promise<void> {
  const error = await errorOf(body);
  assert.is(`${error.name}: ${error.message}`, `${name}: ${message}`);
}

/** Suites declared since the last call belong to `file`, which is loaded by `load`. */
export async function loadFile(file: string, load: Body): Promise<void> {
  currentFile = file;
  await load();
  currentFile = "";
}

export const declaredSuites = (): readonly SuiteRecord[] => suites;

/** Runs the tests of one suite whose name passes `select`, one after the other. */
export async function runSuite(record: SuiteRecord, select: (test: string) => boolean): Promise<SuiteResult> {
  const start = performance.now();
  const { hooks, timeout } = record;
  const tests = record.tests.filter(({ name }) => select(name));
  const failures: { test: string; error: unknown }[] = [];
  if (record.tests.length === 0) failures.push({ test: "(none)", error: new Error("the suite has no test") });
  let passed = 0;
  const attempt = async (test: string, steps: readonly Body[]): Promise<boolean> => {
    const errors = await inOrder(steps, timeout);
    // The first error is the cause; what follows from it would only distract.
    if (errors.length > 0) failures.push({ test, error: errors[0] });
    return errors.length === 0;
  };
  const isReady = tests.length === 0 || (await attempt("(before)", hooks.before));
  for (const { name, body } of isReady ? tests : []) {
    const arrange = async (): Promise<void> => {
      for (const guard of guards) await guard.begin();
      for (const step of hooks.beforeEach) await step();
      await body();
    };
    const looks = guards.map((guard) => () => guard.end());
    if (await attempt(name, [arrange, ...hooks.afterEach, ...looks, reportStrays])) passed += 1;
  }
  if (tests.length > 0) await attempt("(after)", hooks.after);
  return { passed, failures, ms: performance.now() - start };
}

/** Runs what `atEnd` registered, last first. Throws what went astray outside of any test. */
export async function finish(): Promise<void> {
  for (const body of finalizers.splice(0).reverse()) await body();
  reportStrays();
}

/** Runs every step whatever became of those before it, each within the limit; the errors in order. */
async function inOrder(steps: readonly Body[], limit: number): Promise<unknown[]> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await inTime(step, limit);
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}

async function inTime(body: Body, limit: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not settle within ${limit} ms`)), limit);
  });
  try {
    await Promise.race([body(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Rejections and exceptions that nobody awaited belong to the test in which they surface. */
function reportStrays(): void {
  const [first] = strays.splice(0);
  if (first !== undefined) throw first;
}

process.on("unhandledRejection", (reason) => strays.push(reason));
process.on("uncaughtException", (error) => strays.push(error));
