// A file that is too large is refused in words before any of it is sent; the server refuses it, too.
function refuse(event) {
  const given = [...((event.dataTransfer ?? event.target).files ?? [])];
  const notice = document.querySelector('[role="tabpanel"]:not([style*="display: none"]) .notice .prose');
  notice?.querySelector(".problem")?.remove();
  const large = given.find((file) => file.size > MEGABYTES * 1e6);
  if (!large) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.type === "change") event.target.value = "";
  const text = document.createElement("div");
  text.className = "problem";
  text.setAttribute("role", "alert");
  text.textContent = `${large.name} is ${(large.size / 1e6).toFixed(1)} MB large, and this page takes files of up to ${MEGABYTES} MB: cut it, or use microexp on the command line, which has no limit.`;
  notice?.append(text);
}
for (const what of ["change", "drop"]) window.addEventListener(what, refuse, true);
