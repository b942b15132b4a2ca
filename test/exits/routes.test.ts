// How a classifier is run: the same answers on every route, routes that are measured, remembered and given, and
// streams.

import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Answers, buildNetwork, deploy, type MultiExit } from "../../exits/index.ts";
import { poisoned } from "../engine/live.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { bars, smallNet } from "./small.ts";

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
    assert.not(classifier.isOriginChecked, "thresholds by hand");
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
  // A last head that reads those before, behind a middle exit that lets all leave.
  const summing = buildNetwork({
    ...{ backbone: "resnet", options: { depth: 8, widths: [4, 8, 8] }, input: [8, 8, 1], classes: 4 },
    ...{ exits: ["stage1", "stage2"], wraps: ["additive(0.5)"] },
  });
  const open = { thresholds: [0.9, Number.NEGATIVE_INFINITY] };
  using sum = await deploy(summing, open, { ...options, route: ["closed", "closed"], orWhole: true });
  using end = await deploy(summing, { thresholds: [Number.POSITIVE_INFINITY] }, options);
  const [reached, wantSum] = [await sum.classify(set.images), await end.classify(set.images)];
  assert.equal([reached.classes, reached.scores], [wantSum.classes, wantSum.scores]);
  summing.dispose();
  // Where all leave by what heads say of themselves, that is told as anywhere else.
  const confident = buildNetwork({
    ...{ backbone: "resnet", options: { depth: 8, widths: [4, 8, 8] }, input: [8, 8, 1], classes: 4 },
    ...{ exits: ["stage1", "stage2"], wraps: ["confident"] },
  });
  const toldFrom = async (threshold: number) => {
    const told = { score: "confidence", thresholds: [threshold, 0.5] } as const;
    using classifier = await deploy(confident, told, options);
    return await classifier.classify(set.images);
  };
  const [anybody, nearly] = [await toldFrom(0), await toldFrom(1e-6)];
  assert.equal([anybody.exits, anybody.scores], [nearly.exits, nearly.scores]);
  assert.ok(anybody.scores.every((score) => score > 0 && score < 1));
  confident.dispose();
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
