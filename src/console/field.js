// An input with validation. An error appears when the user leaves the field, and is updated on each keystroke
// from then on.

class Field {
  /** `parse` returns a value, or `{ error }` for text that is not accepted. */
  constructor(id, parse) {
    Object.assign(this, { input: $(id), message: $(`${id}-error`), parse });
    this.input.setAttribute("aria-describedby", [this.input.getAttribute("aria-describedby"), `${id}-error`].filter(Boolean).join(" "));
    this.input.addEventListener("change", () => this.validate());
    this.input.addEventListener("input", () => this.input.ariaInvalid === "true" && this.validate());
  }

  get value() { return this.parse(this.input.value); }

  /** Returns the value; shows the error and returns null if there is one. */
  validate() {
    const value = this.value;
    this.showError(value.error);
    return value.error ? null : value;
  }

  /** Shows an error, or clears it if there is none. */
  showError(error) {
    setText(this.message, error ?? "");
    this.input.ariaInvalid = String(Boolean(error));
  }
}

/** Returns the values of all fields; focuses the first invalid field and returns null if there is one. */
function validateAll(...fields) {
  const values = fields.map((field) => field.validate());
  fields[values.indexOf(null)]?.input.focus();
  return values.includes(null) ? null : values;
}
