// How a classifier is run: the same answers on every route, a choice by what batches took, and streams.

import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Call } from "../../exits/deploy/call.ts";
import { Group } from "../../exits/deploy/group.ts";
import type { Lanes } from "../../exits/deploy/lanes.ts";
import { candidateRoutes, Planner } from "../../exits/deploy/plan.ts";
import type { Way } from "../../exits/deploy/route.ts";
import { type Answers, deploy, type MultiExit } from "../../exits/index.ts";
import { poisoned } from "../engine/live.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { bars, smallNet } from "./small.ts";

const choice = suite("exits: plans");
const test = gpuSuite("exits: routes and streams", { timeout: 120_000 });
const set = bars(75, "test", 500);
const pixels = 64;

/** A network whose exits all let some images leave, and the policy for it. */
async function network(): Promise<{ readonly net: MultiExit; readonly policy: { readonly thresholds: number[] } }> {
  const net = smallNet(3);
  for (const [name, weight] of net.namedParameters())
    if (/linear\.weight$/.test(name)) weight.write((await weight.read()).map((x) => 6 * x) as Float32Array);
  return { net, policy: { thresholds: [0.395, 0.32] } };
}

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

test("every route gives the same answers, alone and in batches that are not full, in poisoned memory", async () => {
  const { net, policy } = await network();
  const steps = ["compact", "keep", "ask"] as const;
  const waiting = (["compact", "keep"] as const).flatMap((step) => [["wait", step] as const, [step, "wait"] as const]);
  const routes = [...steps.flatMap((first) => steps.map((second) => [first, second] as const)), ...waiting];
  let wanted: unknown;
  for (const batch of [1, 7, 80]) {
    for (const route of routes) {
      await poisoned(device(), async () => {
        using classifier = await deploy(net, policy, { batch, route, normalise: set.meta });
        for (let i = 0; i < 2; i++) {
          const answers = await classifier.classify(set.images);
          wanted ??= answers;
          assert.equal(answers, wanted, `${route} in batches of ${batch}`);
        }
        assert.equal(
          classifier.plan.map((plan) => [plan.route, plan.isSettled]),
          classifier.plan.map(() => [route, true]),
        );
      });
    }
  }
  assert.equal(new Set((wanted as { exits: Int32Array }).exits).size, 3, "all exits are taken");
  net.dispose();
});

test("weights that change while batches are under way change none of them in its middle", async () => {
  const { net, policy } = await network();
  const weights = [...net.namedParameters().values()];
  const given = await Promise.all(weights.map((weight) => weight.read()));
  const kinds = [given, given.map((values) => values.map((x) => 0.4 * x + 0.01))] as const;
  const write = (kind: 0 | 1) => {
    weights.forEach((weight, i) => {
      weight.write(kinds[kind][i] as Float32Array);
    });
  };
  const said = ({ classes, exits, scores }: Answers) =>
    Array.from(classes, (c, i) => [c, exits[i], scores[i]?.toFixed(4)].join());
  const ways = [
    { batch: 1, route: ["ask", "ask"] },
    { batch: 4, route: ["wait", "compact"] },
  ] as const;
  for (const way of ways) {
    using classifier = await deploy(net, policy, { ...way, normalise: set.meta });
    const alone: string[][] = [];
    for (const kind of [1, 0] as const) {
      write(kind);
      alone[kind] = said(await classifier.classify(set.images));
    }
    for (let round = 0; round < 12; round++) {
      const during = classifier.classify(set.images);
      for (const kind of [1, 0, 1, 0] as const) {
        await new Promise((resolve) => setTimeout(resolve, 3 + round));
        write(kind);
      }
      for (const [i, answer] of said(await during).entries())
        assert.ok(answer === alone[0]![i] || answer === alone[1]![i], `${way.route}: image ${i}: ${answer}`);
    }
  }
  net.dispose();
});

test("a plan is measured on what is classified, and its route can be given the next time", async () => {
  const { net, policy } = await network();
  using classifier = await deploy(net, policy, { batch: 16, normalise: set.meta });
  const want = await classifier.classify(set.images);
  for (let i = 0; i < 30 && !classifier.plan.every(({ isSettled }) => isSettled); i++)
    assert.equal(await classifier.classify(set.images), want, `round ${i}`);
  const [full, rest] = classifier.plan;
  // Four batches of 16 and one of 11, which are of one size.
  assert.equal([full!.upTo, rest], [16, undefined]);
  assert.ok(full!.isSettled && full!.tried.length === 7 && full!.tried.every(({ ms }) => ms > 0), full!.reason);
  using again = await deploy(net, policy, { batch: 16, normalise: set.meta, route: full!.route });
  assert.equal(await again.classify(set.images), want);
  assert.equal(again.plan[0]!.route, full!.route);
  net.dispose();
});

test("the whole network as a route answers as the last exit; where an exit lets all leave, nothing behind it is computed", async () => {
  const { net, policy } = await network();
  const options = { batch: 16, normalise: set.meta };
  using whole = await deploy(net, { thresholds: [Number.POSITIVE_INFINITY] }, options);
  const want = await whole.classify(set.images);
  using allowed = await deploy(net, policy, { ...options, route: ["closed", "closed"], orWhole: true });
  const got = await allowed.classify(set.images);
  assert.equal([got.classes, got.exits], [want.classes, want.exits]);
  using tried = await deploy(net, policy, { ...options, orWhole: true });
  await tried.classify(set.images);
  assert.is(tried.plan[0]!.tried.length, 8);
  const first = { thresholds: [Number.NEGATIVE_INFINITY, 0.3] };
  using all = await deploy(net, first, options);
  assert.ok((await all.classify(set.images)).exits.every((exit) => exit === 0));
  assert.equal(
    all.plan.map(({ route, isSettled }) => [route, isSettled]),
    [[["closed", "closed"], true]],
  );
  // The same classes as where the threshold is merely low.
  using low = await deploy(net, { thresholds: [1e-6, 0.3] }, options);
  assert.equal((await all.classify(set.images)).classes, (await low.classify(set.images)).classes);
  net.dispose();
});

test("routes are remembered in the cache folder by all that the times depend on; a spoiled file is none", async () => {
  const { net, policy } = await network();
  const before = process.env["SORTIE_CACHE"];
  const cache = mkdtempSync(join(tmpdir(), "sortie-plans-"));
  process.env["SORTIE_CACHE"] = cache;
  const files = () =>
    existsSync(join(cache, "plans")) ? readdirSync(join(cache, "plans")).filter((name) => name.endsWith(".json")) : [];
  try {
    const options = { batch: 16, normalise: set.meta, remember: true };
    {
      using forgetful = await deploy(net, policy, { ...options, remember: false });
      for (let i = 0; i < 30 && !forgetful.plan[0]!.isSettled; i++) await forgetful.classify(set.images);
      assert.equal(files(), []);
    }
    let route: unknown;
    {
      using classifier = await deploy(net, policy, options);
      for (let i = 0; i < 30 && !classifier.plan[0]!.isSettled; i++) await classifier.classify(set.images);
      route = classifier.plan[0]!.route;
    }
    for (let i = 0; i < 100 && files().length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 20));
    const [name, ...others] = files();
    assert.equal(others, []);
    using again = await deploy(net, policy, options);
    assert.ok(again.plan[0]!.isSettled);
    assert.equal(again.plan[0]!.route, route);
    assert.match(again.plan[0]!.reason, /which was the fastest before$/);
    using other = await deploy(net, { thresholds: [0.4, 0.32] }, options);
    assert.not.ok(other.plan[0]!.isSettled, "another policy");
    writeFileSync(join(cache, "plans", name!), "{");
    using spoiled = await deploy(net, policy, options);
    assert.not.ok(spoiled.plan[0]!.isSettled);
  } finally {
    if (before === undefined) delete process.env["SORTIE_CACHE"];
    else process.env["SORTIE_CACHE"] = before;
    rmSync(cache, { recursive: true });
  }
  net.dispose();
});

test("a stream answers lot by lot in order, whatever the lots; an error is that of its lot", async () => {
  const { net, policy } = await network();
  using classifier = await deploy(net, policy, { batch: 8, normalise: set.meta });
  const want = await classifier.classify(set.images);
  const sizes = [3, 8, 20, 0, 1, 43];
  async function* lots() {
    let at = 0;
    for (const size of sizes) {
      yield set.images.slice(at * pixels, (at + size) * pixels);
      at += size;
    }
  }
  const got: number[][] = [[], []];
  const seen: number[] = [];
  for await (const { classes, exits } of classifier.stream(lots())) {
    seen.push(classes.length);
    got[0]!.push(...classes);
    got[1]!.push(...exits);
  }
  assert.equal(seen, sizes);
  assert.equal(got, [[...want.classes], [...want.exits]]);
  let answered = 0;
  await failsWith(
    async () => {
      for await (const _ of classifier.stream([set.images, set.images, new Float32Array(3), set.images])) answered++;
    },
    "ArgumentError",
    "classify: images must be [N, 8, 8, 1]; got 3 values, no multiple of 64.",
  );
  assert.is(answered, 2);
  // Whoever stops early leaves nothing behind.
  for await (const _ of classifier.stream([set.images, set.images, set.images])) break;
  assert.equal(await classifier.classify(set.images), want);
  net.dispose();
});

test("a route that is none is refused", async () => {
  const { net, policy } = await network();
  const says = "deploy: route must be measured, or say compact, keep, ask, wait for each of 2 early exits; got";
  for (const [route, got] of [
    [["compact"], "an array of 1"],
    [["compact", "drop"], "an array of 2"],
    ["fast", '"fast"'],
  ] as const) {
    const error = await deploy(net, policy, { route: route as never }).catch(String);
    assert.match(String(error), new RegExp(`^ArgumentError: ${says}`), got);
  }
  for (const route of [
    ["wait", "wait"],
    ["ask", "wait"],
  ] as const)
    await failsWith(
      () => deploy(net, policy, { route }),
      "ArgumentError",
      `deploy: a route must wait at one exit alone, and not ask besides; got ${route.join(", ")}.`,
    );
  await failsWith(
    () => deploy(net, policy, { route: ["closed", "keep"] }),
    "ArgumentError",
    "deploy: route must say what happens behind exit 1, where images can leave; got closed.",
  );
  net.dispose();
});
