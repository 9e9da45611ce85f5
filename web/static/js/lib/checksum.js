/* The checksum of a text: CRC-32 of its UTF-8, as zlib counts it. Pages without https have no SHA in the browser. */

const POLYNOMIAL = 0xedb88320;

/** A whole number from 0 to 2^32 - 1. */
export function checksum(text) {
  let crc = ~0;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  }
  return ~crc >>> 0;
}
