/**
 * A `.properties` file as Quarkus reads it: the file format takes backslashes away first, then the configuration
 * library replaces `${…}`, which only a backslash that is still there prevents.
 */
export function renderProperties(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${escapeValue(value.replaceAll('${', '\\${'))}\n`)
    .join('');
}

function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replace(/^ /, '\\ ');
}
