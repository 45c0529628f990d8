// What nobody sees need not be asked for: a page that follows what happens rests while its tab is hidden.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});
