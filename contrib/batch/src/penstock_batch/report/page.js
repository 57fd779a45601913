"use strict";
const options = { actions: false, renderer: "svg", ast: true, defaultStyle: false };
const draw = async (place) => {
  try {
    await vegaEmbed(place, JSON.parse(document.getElementById(place.dataset.spec).textContent), options);
    place.dataset.drawn = "yes";
  } catch (error) {
    place.dataset.drawn = "no";
    place.textContent = String(error);
  }
};
const rows = [...document.querySelectorAll("details.row")];
const show = () => {
  const words = document.getElementById("find").value.toLowerCase();
  const failed = document.getElementById("only-failed").checked;
  for (const row of rows) {
    row.hidden = (failed && row.dataset.state !== "failed") || !row.textContent.toLowerCase().includes(words);
  }
  document.getElementById("shown").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
};
if (rows.length > 0) {
  document.getElementById("find").addEventListener("input", show);
  document.getElementById("only-failed").addEventListener("change", show);
  show();
}
Promise.all([...document.querySelectorAll("[data-spec]")].map(draw)).then(() => {
  document.body.dataset.ready = "yes";
});
