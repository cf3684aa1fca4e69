import mime from 'mime';

/** The media type of a file by its name; `application/octet-stream` for one that nobody knows. */
export function typeOfName(name: string): string {
  return mime.getType(name) ?? 'application/octet-stream';
}
