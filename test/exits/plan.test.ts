// The choice of a route: by what batches took, for each of their sizes.

import { DeviceError } from "../../engine/index.ts";
import type { Call } from "../../exits/deploy/call.ts";
import { Group } from "../../exits/deploy/group.ts";
import { inOrder } from "../../exits/deploy/in-order.ts";
import type { Lanes } from "../../exits/deploy/lanes.ts";
import { candidateRoutes, Planner } from "../../exits/deploy/plan.ts";
import type { Way } from "../../exits/deploy/route.ts";
import { assert, failsWith, suite } from "../harness.ts";

const choice = suite("exits: plans");

/** Routes that are none, and how often each was recorded and let go. */
function fakes() {
  const made: string[] = [];
  const gone: string[] = [];
  const record = async (way: Way): Promise<Lanes> => {
    const name = String(way);
    const behind = [way].flat();
    made.push(name);
    return { behind, asks: false, dispose: () => gone.push(name) } as unknown as Lanes;
  };
  return { made, gone, record };
}

/** Runs batches of n images until the plan for them is settled; what each route takes is given in milliseconds. */
async function settle(
  planner: Planner,
  n: number,
  ms: Readonly<Record<string, number>>,
  isFlow = false,
): Promise<string[]> {
  const taken: string[] = [];
  for (let i = 0; i < 50; i++) {
    const { route, note } = await planner.next(n, isFlow);
    if (!note) return taken;
    taken.push(route.behind.join());
    // The first of each is slow: it compiles.
    const isFirst = taken.filter((name) => name === taken.at(-1)).length === 1;
    note(n, isFirst ? 1000 : ms[route.behind.join()]!);
  }
  throw new Error("never settled");
}

const names = (way: Way) => (way === "whole" ? (["closed"] as const) : ["closed" as const, ...way]);

choice("the last lot of a stream is hurried when it is there, and not before alone", async () => {
  for (const leaves of [false, true]) {
    const pending = new Set<() => void>();
    const hurry = async () => {
      for (const answer of pending) answer();
    };
    const lots = inOrder(leaves ? [1, 2, 3, 4, 5] : [1], {
      begin: (lot: number) => {
        // As pictures, which are decoded first.
        const submitted = new Promise((resolve) => setTimeout(resolve, 5));
        const answers = new Promise<number>((resolve) => {
          submitted.then(() => pending.add(() => resolve(lot)));
          if (lot === 1 && leaves) resolve(lot);
        });
        return { submitted, answers };
      },
      ahead: () => 2,
      hurry,
    });
    const got: number[] = [];
    for await (const answer of lots) {
      got.push(answer);
      if (leaves) break;
    }
    assert.equal(got, [1]);
  }
});

choice("the fastest route is taken, for each size of batches; hopeless ones are given up", async () => {
  const { made, gone, record } = fakes();
  const planner = new Planner(64, candidateRoutes(2, { asksFirst: false }), { record, names });
  assert.equal(
    planner.plans.map(({ reason }) => reason),
    ["batches of up to 64: not settled yet"],
  );
  const ms = { "compact,compact": 10, "ask,ask": 40, "keep,keep": 30, "compact,keep": 8, "keep,compact": 12 };
  const taken = await settle(planner, 64, ms);
  assert.is(taken.filter((name) => name === "ask,ask").length, 3, "given up after two that were timed");
  assert.is(taken.filter((name) => name === "compact,keep").length, 4);
  const [plan] = planner.plans;
  assert.equal(plan!.route, ["closed", "compact", "keep"]);
  assert.is(
    plan!.reason,
    "batches of up to 64: closed, compact, keep, the fastest of closed, compact, compact 10.00 ms · closed, ask, ask 40.00 ms · " +
      "closed, keep, keep 30.00 ms · closed, compact, keep 8.00 ms · closed, keep, compact 12.00 ms",
  );
  assert.equal([made.length, gone.length], [5, 4]);
  // Another size: recorded again where it was let go, and chosen apart.
  await settle(planner, 3, { ...ms, "keep,keep": 1 });
  assert.equal(
    planner.plans.map(({ upTo, route }) => [upTo, route[1], route[2]]),
    [
      [64, "compact", "keep"],
      [4, "keep", "keep"],
    ],
  );
  assert.is((await planner.next(64)).route.behind.join(), "compact,keep");
  assert.is((await planner.next(4)).route.behind.join(), "keep,keep");
});

choice("a way that the device has no room for is none; where it is the only one, that is told", async () => {
  const { made, record } = fakes();
  const full = new DeviceError("allocate: a buffer must fit.");
  const narrow =
    (...ways: readonly string[]) =>
    async (way: Way) => {
      if (ways.includes(String(way))) throw full;
      return record(way);
    };
  const all = candidateRoutes(1, { asksFirst: false, canWait: true });
  const planner = new Planner(8, all, { record: narrow("wait", "keep"), names });
  const taken = await settle(planner, 8, { compact: 10, ask: 12 }, true);
  assert.equal([...new Set(taken)].sort(), ["ask", "compact"]);
  assert.equal([planner.plans[0]!.isSettled, planner.plans[0]!.tried.length], [true, 2]);
  await settle(planner, 2, { compact: 10, ask: 12 });
  assert.ok(!made.includes("keep"), "nor at another size");
  // What was remembered of a device with more room is no reason to refuse.
  const memory = { known: new Map([["8+", "closed,wait"]]), settle: () => {} };
  const before = new Planner(8, all, { record: narrow("wait"), names, memory });
  await before.prepare();
  await failsWith(
    () => new Planner(8, ["whole"], { record: narrow("whole"), names }).prepare(),
    "DeviceError",
    full.message,
  );
  const alone = new Planner(8, ["whole"], { record: narrow("whole"), names });
  await failsWith(() => alone.next(8), "DeviceError", full.message);
  const none = new Planner(8, all, { record: narrow(...all.map(String)), names });
  await failsWith(() => none.next(8, true), "DeviceError", full.message);
  const other = new Planner(8, all, { record: () => Promise.reject(new TypeError("a fault")), names });
  await failsWith(() => other.next(8), "TypeError", "a fault");
  assert.is(other.plans[0]!.tried.length, all.length - 1, "what is no matter of room gives nothing up");
});

choice("noise changes nothing: the first route stands unless another is clearly faster", async () => {
  const { record } = fakes();
  const planner = new Planner(8, candidateRoutes(1, { asksFirst: true }), { record, names });
  await settle(planner, 8, { ask: 10, compact: 9.9, keep: 12 });
  assert.equal(planner.plans[0]!.route, ["closed", "ask"]);
});

choice("routes that are close to each other are timed on, and the one that was lucky first is not taken", async () => {
  const { record } = fakes();
  const planner = new Planner(8, candidateRoutes(1, { asksFirst: true }), { record, names });
  const rest = { ask: 11.5, compact: 11, keep: 10.5 };
  const lucky = { ask: 10, compact: 10.5, keep: 11 };
  const times = { ask: 0, compact: 0, keep: 0 };
  for (let turn = 0; turn < 100; turn++) {
    const { route, note } = await planner.next(8);
    if (!note) break;
    const name = route.behind[0] as keyof typeof times;
    times[name] += 1;
    // One that is not timed, and two on which noise was kind.
    note(8, times[name] <= 3 ? lucky[name] : rest[name]);
  }
  assert.equal(times, { ask: 10, compact: 10, keep: 10 });
  assert.equal([planner.plans[0]!.isSettled, planner.plans[0]!.route], [true, ["closed", "keep"]]);
});

choice("what the host does between two batches of a call counts, what a source takes does not", async () => {
  const { now } = performance;
  let clock = 0;
  performance.now = () => clock;
  const ended = async (): Promise<[]> => {
    clock += 5;
    return [];
  };
  try {
    const taken = async (calls: readonly Call[]): Promise<number> => {
      let told = Number.NaN;
      const note = (_: number, ms: number): void => {
        told = ms;
      };
      const group = new Group({ route: {} as Lanes, note, batches: calls.length }, 8);
      for (const call of calls) {
        const found = Promise.resolve().then(ended);
        group.add({ call, count: 1, found }, performance.now());
        await found;
        await Promise.resolve();
        clock += 2;
      }
      group.tell();
      return told;
    };
    const [one, other] = [{}, {}] as [Call, Call];
    assert.is(await taken([one, one, one]), 19);
    assert.is(await taken([one, other, other]), 17);
  } finally {
    performance.now = now;
  }
});

choice("the whole network is a route where that is allowed, and taken where it is the fastest", async () => {
  const { record } = fakes();
  const options = { asksFirst: false, orWhole: true };
  assert.equal(candidateRoutes(1, options), [["compact"], ["ask"], ["keep"], "whole"]);
  assert.equal(candidateRoutes(0, options), [[]], "it is the only one where nobody can leave");
  const planner = new Planner(8, candidateRoutes(1, options), { record, names });
  await settle(planner, 8, { compact: 10, ask: 11, keep: 12, whole: 7 });
  assert.equal(planner.plans[0]!.route, ["closed"]);
});

choice(
  "what was settled is told, and taken the next time without a trial; a route that is no candidate is not",
  async () => {
    const { record } = fakes();
    const told: [string, string][] = [];
    const memory = {
      known: new Map<string, string>(),
      settle: (size: string, route: string) => told.push([size, route]),
    };
    const candidates = candidateRoutes(1, { asksFirst: false });
    const planner = new Planner(8, candidates, { record, names, memory });
    await settle(planner, 8, { compact: 10, ask: 11, keep: 7 });
    await settle(planner, 2, { compact: 1, ask: 11, keep: 7 });
    assert.equal(told, [
      ["8", "closed,keep"],
      ["2", "closed,compact"],
    ]);
    const again = new Planner(8, candidates, { record, names, memory: { ...memory, known: new Map(told) } });
    const turn = await again.next(7);
    assert.equal([turn.note, turn.route.behind], [undefined, ["keep"]]);
    assert.is(again.plans[0]!.reason, "batches of up to 8: closed, keep, which was the fastest before");
    assert.ok((await again.next(4)).note, "of this size nothing is known");
    const strange = new Planner(8, candidates, {
      record,
      names,
      memory: { ...memory, known: new Map([["8", "fast"]]) },
    });
    assert.ok((await strange.next(8)).note);
  },
);

choice("a route is judged by how images leave, not by those that it happened to get", async () => {
  const { record } = fakes();
  // Exits of single images: half leave at the first, a tenth at the second.
  const exits = [0, 2, 0, 0, 2, 1, 2, 0, 2, 0];
  const settled = async (ms: Readonly<Record<string, readonly number[]>>, shift: number) => {
    const planner = new Planner(1, candidateRoutes(1, { asksFirst: true }), { record, names });
    for (let turn = 0; turn < 200; turn++) {
      const { route, note } = await planner.next(1);
      if (!note) break;
      const exit = exits[(turn + shift) % exits.length]!;
      note(1, ms[route.behind.join()]![exit]!, exit);
    }
    return planner.plans[0]!;
  };
  for (const shift of exits.keys()) {
    // 2 / 2 + 5 / 10 + 9 * 4 / 10 = 5.1 against 3.5, though its fastest image takes 2.
    const keep = await settled({ ask: [2, 5, 9], compact: [4, 6, 6.5], keep: [3.5, 3.5, 3.5] }, shift);
    assert.equal([keep.isSettled, keep.route], [true, ["closed", "keep"]]);
    assert.ok(Math.abs(keep.tried[0]!.ms - 5.1) < 0.7, keep.reason);
    const ask = await settled({ ask: [1, 5, 9], compact: [4, 6, 6.5], keep: [6, 6, 6] }, shift);
    assert.equal([ask.isSettled, ask.route], [true, ["closed", "ask"]]);
  }
});

choice(
  "rows wait for those of other batches only where others follow, which is chosen and remembered apart",
  async () => {
    const { record } = fakes();
    const options = { asksFirst: false, canWait: true };
    assert.equal(candidateRoutes(1, options), [["compact"], ["ask"], ["keep"], ["wait"]]);
    const told = new Map<string, string>();
    const memory = { known: new Map<string, string>(), settle: (size: string, route: string) => told.set(size, route) };
    const planner = new Planner(8, candidateRoutes(1, options), { record, names, memory });
    const ms = { compact: 10, ask: 11, keep: 12, wait: 7 };
    assert.not.ok((await settle(planner, 8, ms)).includes("wait"));
    assert.ok((await settle(planner, 8, ms, true)).includes("wait"));
    assert.equal(
      planner.plans.map(({ upTo, isFlow, route, tried }) => [upTo, isFlow, route, tried.length]),
      [
        [8, true, ["closed", "wait"], 4],
        [8, false, ["closed", "compact"], 3],
      ],
    );
    assert.match(planner.plans[0]!.reason, /^batches of up to 8, others following: closed, wait, the fastest of /);
    const again = new Planner(8, candidateRoutes(1, options), { record, names, memory: { ...memory, known: told } });
    assert.equal((await again.next(8, true)).route.behind, ["wait"]);
    assert.equal((await again.next(8)).route.behind, ["compact"]);
  },
);

choice("where nobody can leave early there is nothing to choose", async () => {
  const { record } = fakes();
  const planner = new Planner(8, candidateRoutes(0, { asksFirst: true }), { record, names });
  const { note } = await planner.next(8);
  assert.is(note, undefined);
  assert.equal([planner.plans[0]!.isSettled, planner.plans[0]!.reason], [true, "batches of up to 8: closed"]);
});
