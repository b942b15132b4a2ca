// What the lab is at, event by event: training, paused, failed, its device lost.

import { BEGINNING, type Event, next, type State } from "../../site/lab/page/state.ts";
import type { Choices, Settings, Subject } from "../../site/lab/protocol.ts";
import { assert, suite } from "../harness.ts";

const test = suite("lab: states");

const choices: Choices = { backbones: [], methods: [] };
const settings: Settings = {
  images: "glyphs",
  samples: 512,
  backbone: "tiny",
  exits: ["stage1"],
  method: "joint",
  epochs: 1,
  seed: 1,
};
const subject: Subject = {
  name: "glyphs",
  classes: ["a"],
  input: [8, 8, 1],
  exits: [],
  guarantee: "",
  calibration: 0,
  test: 0,
};
const point = (step: number) => ({ kind: "train", step, loss: 1, accuracy: [0.5, 0.6] }) as const;
const after = (events: readonly Event[], from: State = BEGINNING): State => events.reduce(next, from);
const opened: Event = { tell: "opened", adapter: "a GPU", choices, kept: undefined };

test("a training is asked for, begins, moves on and ends in a classifier", () => {
  const running = after([opened, { tell: "asked", settings }, { tell: "begun", step: 0, steps: 16 }]);
  assert.equal([running.phase, running.step, running.steps], ["training", 0, 16]);
  const on = after(
    [
      { tell: "point", point: point(8) },
      { tell: "step", step: 8, steps: 16, secondsLeft: 3 },
    ],
    running,
  );
  assert.equal([on.points.length, on.step, on.secondsLeft], [1, 8, 3]);
  const done = after([{ tell: "subject", subject, isTrained: true }], on);
  assert.equal([done.phase, done.subject, done.shown], ["ready", subject, "train"]);
});

test("paused it keeps its curves, loses those behind the checkpoint when it goes on, and all with other settings", () => {
  const begun = after([opened, { tell: "asked", settings }, { tell: "begun", step: 0, steps: 16 }]);
  const paused = after(
    [{ tell: "point", point: point(4) }, { tell: "point", point: point(9) }, { tell: "pausing" }, { tell: "paused" }],
    begun,
  );
  assert.equal([paused.phase, paused.points.length], ["paused", 2]);
  const again = after(
    [
      { tell: "asked", settings },
      { tell: "begun", step: 5, steps: 16 },
    ],
    paused,
  );
  assert.equal(
    [again.phase, again.points.map(({ step }) => step), again.notice?.text],
    ["training", [4], "Training goes on from step 5 of 16."],
  );
  assert.equal(after([{ tell: "asked", settings: { ...settings, seed: 2 } }], paused).points, []);
  assert.equal(after([{ tell: "forgotten" }], paused).settings, undefined);
});

test("what was kept is paused, unless it had ended", () => {
  const kept = { settings, standing: "running", step: 4, steps: 16, points: [point(4)] } as const;
  const { phase, step, points } = after([{ ...opened, kept }]);
  assert.equal([phase, step, points.length], ["paused", 4, 1]);
  assert.is(after([{ ...opened, kept: { ...kept, standing: "done" } }]).phase, "ready");
});

test("a lost device is told, and its successor named; a fault ends a training, no other", () => {
  const running = after([opened, { tell: "asked", settings }]);
  const lost = after(
    [
      { tell: "lost", why: "gone" },
      { tell: "recovered", adapter: "another" },
    ],
    running,
  );
  assert.equal([lost.phase, lost.adapter, lost.notice?.isFault], ["training", "another", true]);
  assert.is(after([{ tell: "failed", why: "no", endsTraining: false }], running).phase, "training");
  assert.is(after([{ tell: "failed", why: "no", endsTraining: true }], running).phase, "ready");
  assert.is(after([{ tell: "closed", why: "no WebGPU" }]).phase, "closed");
});

test("who opens a classifier from the first step sees it run; elsewhere the step stays", () => {
  const open: Event = { tell: "subject", subject, isTrained: false };
  assert.is(after([opened, open]).shown, "run");
  assert.is(after([opened, { tell: "shown", step: "take" }, open]).shown, "take");
});
