// SPDX-License-Identifier: Apache-2.0
// The one style sheet of HTML reports: light and dark, screen, phone and paper.
#pragma once

#include <string_view>

namespace moeshift {

/// Series colours are Okabe and Ito's, which people with any kind of colour vision tell apart
/// (lightened for dark pages).
inline constexpr std::string_view kHtmlStyle = R"css(
:root{--paper:#fbfaf8;--card:#fff;--ink:#1d2127;--soft:#5b6470;--line:#e3e1dc;--grid:#ecebe6;
--accent:#0a6aa8;--good:#00795a;--c0:#0072b2;--c1:#e08a00;--c2:#009e73;--c3:#cc79a7;--c4:#b8860b;--c5:#7a5195}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1c2026;--ink:#e8e6e1;--soft:#a2abb6;
--line:#2e343c;--grid:#272c33;--accent:#6cb8ee;--good:#4fd0a5;--c0:#56b4e9;--c1:#f0b04a;--c2:#3ec99b;
--c3:#e3a3c8;--c4:#e6cf5c;--c5:#b59bd6}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
header{border-bottom:2px solid var(--ink);padding-bottom:.9rem;margin-bottom:1.6rem}
.brand,.kicker{font-size:.75rem;font-weight:650;letter-spacing:.09em;text-transform:uppercase;color:var(--accent);margin:0}
h1{font-size:clamp(1.5rem,4.2vw,2.1rem);line-height:1.2;letter-spacing:-.015em;margin:.25rem 0 0}
h2{font-size:1.35rem;line-height:1.25;letter-spacing:-.01em;margin:.2rem 0 .3rem}
h3{font-size:1rem;margin:1.7rem 0 .5rem}
p{margin:.5rem 0}
nav ol{margin:0 0 1.5rem;padding-left:1.3rem}
a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:.15em}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.5rem 1.6rem 1.7rem;margin:0 0 1.6rem}
.origin{color:var(--soft);font:.78rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.verdict{border-left:4px solid var(--accent);background:color-mix(in srgb,var(--accent) 7%,transparent);
padding:.8rem 1.1rem;border-radius:0 8px 8px 0;margin:1.1rem 0}
.verdict.good{border-color:var(--good);background:color-mix(in srgb,var(--good) 8%,transparent)}
.verdict>p{font-size:1.1rem;font-weight:600;margin:0}
.verdict ul{margin:.5rem 0 0;padding-left:1.15rem}
.verdict li{margin:.2rem 0}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.4rem,1fr));gap:.9rem 1.1rem;margin:1.2rem 0}
.figures div{border-top:1px solid var(--line);padding-top:.5rem}
dt{color:var(--soft);font-size:.8rem}
dd{margin:0;font-size:1.35rem;font-weight:620;letter-spacing:-.01em;font-variant-numeric:tabular-nums}
dd.remark{font-size:.78rem;font-weight:400;letter-spacing:0;color:var(--soft)}
figure{margin:1.5rem 0 0}
figure+.scroll{margin-top:1.3rem}
figcaption{font-size:.88rem;font-weight:600;margin-bottom:.45rem}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
svg{display:block;width:100%;min-width:34rem;height:auto;font:12px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
svg text{fill:var(--ink)}
svg .tick{fill:var(--soft);font-variant-numeric:tabular-nums}
svg .axis{fill:var(--soft);font-weight:600}
svg .strong{font-weight:650}
svg .grid{stroke:var(--grid)}
svg .base{stroke:var(--soft)}
svg .zero{stroke:var(--ink);stroke-dasharray:3 3}
svg .whisker{stroke:var(--c0);stroke-width:3;stroke-linecap:round;opacity:.55}
svg .front{fill:none;stroke:var(--c0);stroke-width:1.5;stroke-dasharray:5 4}
svg .heat{fill:var(--c0)}
svg .hollow{fill:var(--card);stroke-width:2}
svg .stroke{fill:none;stroke-width:2;stroke-linejoin:round}
svg .fill.c0{fill:var(--c0)}svg .fill.c1{fill:var(--c1)}svg .fill.c2{fill:var(--c2)}
svg .fill.c3{fill:var(--c3)}svg .fill.c4{fill:var(--c4)}svg .fill.c5{fill:var(--c5)}
svg .stroke.c0,svg .hollow.c0{stroke:var(--c0)}svg .stroke.c1{stroke:var(--c1)}svg .stroke.c2{stroke:var(--c2)}
svg .stroke.c3{stroke:var(--c3)}svg .stroke.c4{stroke:var(--c4)}svg .stroke.c5{stroke:var(--c5)}
table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:600;border-bottom:1.5px solid var(--line);white-space:nowrap}
th,td{padding:.38rem .8rem .38rem 0;vertical-align:top}
td{border-bottom:1px solid var(--grid)}
td:first-child{white-space:nowrap}
.n{text-align:right;white-space:nowrap}
details{margin-top:1.3rem}
summary{cursor:pointer;font-weight:600;font-size:.95rem}
@media (max-width:40rem){main{padding:1.4rem .7rem 2.5rem}section{padding:1.1rem .95rem 1.2rem;border-radius:10px}}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;--grid:#e5e5e5;--accent:#0a6aa8;--good:#00795a;
--c0:#0072b2;--c1:#e08a00;--c2:#009e73;--c3:#cc79a7;--c4:#b8860b;--c5:#7a5195}
body{font-size:10.5pt}main{max-width:none;padding:0}section{border:0;padding:0;break-before:auto}
figure,table,.verdict,.figures{break-inside:avoid}svg{min-width:0}.scroll{overflow:visible}nav{display:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
)css";

}  // namespace moeshift
