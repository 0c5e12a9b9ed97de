import { expect, test } from 'vitest';
import { artifactUrl } from '../../../../dev/bench/peers/maven-artifact.ts';

test.each(['https://repo.example/maven2', 'https://repo.example/maven2/'])(
  'an artifact has its place below %s',
  (repository) => {
    const artifact = {
      group: 'org.example.a',
      name: 'b-c',
      version: '1.2.Final',
      packaging: 'tar.gz',
      sha256: '',
    };
    expect(artifactUrl(repository, artifact)).toBe(
      'https://repo.example/maven2/org/example/a/b-c/1.2.Final/b-c-1.2.Final.tar.gz',
    );
  },
);
