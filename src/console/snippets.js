// Commands and code that do from outside what the forms do. They contain no token.

const MAX_INLINE_DATA = 2_000;

const quoteForShell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const quoteForScript = (text) => JSON.stringify(text).replaceAll("<", "\\u003c");
const TOKEN_OPTION = ' \\\n  -H "authorization: Bearer $RUNNEL_TOKEN"';

const publishWithCurl = ({ target, type, format, data }) => `curl -i ${quoteForShell(publishUrl(target, format === BATCH ? "" : type))}${TOKEN_OPTION} \\
  -H ${quoteForShell(`content-type: ${format}`)} \\
  ${data.length > MAX_INLINE_DATA ? "--data-binary @event" : `--data-binary ${quoteForShell(data)}`}`;

const SNIPPETS = {
  "snippet-curl": ({ url, needsToken }) => `curl -N ${quoteForShell(url)}${needsToken ? TOKEN_OPTION : ""}`,

  "snippet-script": ({ url, types, needsToken }) =>
    `${needsToken ? "// An EventSource sends no headers: have your server\n// set the token in the cookie runnel_token.\n" : ""}const events = new EventSource(
  ${quoteForScript(url)});
const show = (event) =>
  console.log(event.lastEventId, event.type, event.data);
for (const type of [${[...types, "runnel.gap"].map(quoteForScript).join(", ")}])
  events.addEventListener(type, show);
events.addEventListener("runnel.end", () => events.close());`,

  "snippet-publish": publishWithCurl,
  "snippet-first": publishWithCurl,
};

function drawSnippets(values) {
  for (const [id, render] of Object.entries(SNIPPETS)) setText($(id), render(values));
}
