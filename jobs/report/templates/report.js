// Draws each chart where it stands. By the interpreter of expressions, since the page lets no text become a program;
// with the page's own looks for what vega-embed would style itself.
for (const place of document.querySelectorAll("[data-chart]")) {
  const chart = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  vegaEmbed(place, chart, {
    ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true },
  });
}
