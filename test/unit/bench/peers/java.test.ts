import { expect, test } from 'vitest';
import { parseJavaVersion } from '../../../../dev/bench/peers/java.ts';

test.each([
  ['openjdk version "25.0.3" 2026-04-21 LTS\nOpenJDK Runtime Environment Temurin-25.0.3+9', 25],
  ['openjdk version "17.0.15" 2025-04-15', 17],
  ['openjdk version "21" 2023-09-19', 21],
  ['openjdk version "26-ea" 2026-03-17', 26],
  ['java version "1.8.0_392"', 8],
])('%j is Java %i', (output, majorVersion) => {
  expect(parseJavaVersion(output)).toBe(majorVersion);
});

test('what says no version is no Java', () => {
  expect(parseJavaVersion('Unable to locate a Java Runtime.')).toBeUndefined();
});
