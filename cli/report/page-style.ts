// The look of the report page: on wide and narrow screens, in light and dark, and on paper.

const LIGHT =
  "--ink: #1d2733; --soft: #3a4754; --faint: #56636f; --head: #45525f; --line: #e1e6eb; --card: #f6f8fa; --paper: #fff; --good: #2f855a; --bad: #b93a0b; --plots: none;";

/** Plots are drawn for paper; in the dark lightness is turned over, and hues stay. */
const DARK =
  "--ink: #e6ebf0; --soft: #c3ccd5; --faint: #a3afba; --head: #b7c1cb; --line: #333d47; --card: #1c242c; --paper: #12181e; --good: #57b98a; --bad: #ff8f5e; --plots: invert(1) hue-rotate(180deg);";

/** CSS text. */
export const STYLE = `
:root { color-scheme: light dark; ${LIGHT} }
@media screen and (prefers-color-scheme: dark) { :root { ${DARK} } }
body { font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; max-width: 70rem; margin: 2.5rem auto; padding: 0 1.25rem; color: var(--ink); background: var(--paper); }
h1 { margin: 0 0 1.2rem; font-size: 1.9rem; overflow-wrap: anywhere; } h2 { margin: 0 0 .4rem; font-size: 1.25rem; } h3 { margin: 1rem 0 .3rem; font-size: 1rem; }
h3 small { font-weight: 400; color: var(--faint); } section { margin: 2.4rem 0; padding-top: 1.4rem; border-top: 1px solid var(--line); }
section > p { max-width: 48rem; margin: 0 0 1rem; color: var(--soft); }
:focus-visible { outline: 3px solid #2f7fc1; outline-offset: 2px; }
.brand { margin: 0; font-size: .8rem; letter-spacing: .08em; text-transform: uppercase; color: var(--faint); }
.tiles { display: flex; flex-wrap: wrap; gap: .9rem; margin: 0 0 1.2rem; }
.tile { flex: 1 1 11rem; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; } .tile span { display: block; } .tile small { color: var(--faint); }
.promise { border-left: .3rem solid; padding: .7rem 1rem; background: var(--card); } .kept { border-color: var(--good); } .none { border-color: var(--bad); }
.row { display: flex; flex-wrap: wrap; gap: .6rem 2rem; align-items: flex-start; } .row > .scroll { flex: 1 1 24rem; } .row table { width: 100%; }
.halves, .thirds { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
.thirds { grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); } .plot { max-width: 100%; } .plot svg { display: block; max-width: 100%; height: auto; filter: var(--plots); }
table { border-collapse: collapse; margin: .4rem 0 1rem; font-variant-numeric: tabular-nums; font-size: .92rem; }
td, th { padding: .3rem .55rem; text-align: right; border-bottom: 1px solid var(--line); } td:first-child, th:first-child { text-align: left; padding-left: 0; }
th { font-weight: 600; color: var(--head); vertical-align: bottom; } tbody th { font-weight: 400; color: inherit; } td, tbody th { white-space: nowrap; } td:last-child, th:last-child { padding-right: 0; }
.scroll { overflow-x: auto; min-width: 0; max-width: 100%; } .wide table { width: 100%; } .halves + .scroll { margin-top: 1rem; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(3.6rem, 1fr)); gap: .5rem; } figure { margin: 0; }
@media (min-width: 55rem) { .examples { grid-template-columns: repeat(14, minmax(0, 1fr)); } }
figure img { display: block; width: 100%; max-width: 4rem; box-sizing: border-box; aspect-ratio: 1; image-rendering: pixelated; border: 2px solid var(--line); border-radius: .25rem; }
figcaption { font-size: .68rem; line-height: 1.25; color: var(--head); overflow-wrap: anywhere; } .wrong img { border-color: var(--bad); border-style: dashed; } .wrong figcaption { color: var(--bad); }
.columns { display: flex; flex-wrap: wrap; gap: 2rem; align-items: flex-start; } .columns > .scroll { flex: 1 1 min(100%, 26rem); } .columns td { text-align: left; vertical-align: top; white-space: normal; overflow-wrap: anywhere; } .columns tbody th { color: var(--faint); vertical-align: top; }
details { flex: 1 1 18rem; min-width: 0; max-width: 100%; } pre { font-size: .78rem; line-height: 1.4; background: var(--card); padding: .8rem 1rem; border-radius: .4rem; overflow-x: auto; }
@media print {
  @page { margin: 15mm; }
  body { margin: 0; max-width: none; font-size: 10pt; }
  h2, h3 { break-after: avoid; } .tile, .plot, figure, tr { break-inside: avoid; } section { break-inside: auto; margin: 1.2rem 0; padding-top: .8rem; }
  .scroll { overflow: visible; } table { font-size: 8pt; } td, th { white-space: normal; padding: .2rem .3rem; } pre { white-space: pre-wrap; overflow: visible; } footer { display: none; }
}
`;
