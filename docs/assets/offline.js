// The theme would fetch GLightbox, which no page uses, from another server: a reader's browser asks nobody.
window.GLightbox = class {
  setElements() {}
};
