// Draws each chart where it stands. By the interpreter of expressions, since the page lets no text become a program;
// with the page's own looks for what vega-embed would style itself. Who listens is told the chart's name, which the place
// has, and the numbers in its table: Vega's own names for its parts say less.
for (const place of document.querySelectorAll("[data-chart]")) {
  const chart = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  vegaEmbed(place, chart, {
    ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true },
  }).then(() => place.firstElementChild.setAttribute("aria-hidden", "true"));
}
