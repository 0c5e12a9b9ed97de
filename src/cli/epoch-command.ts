import type { Command } from 'commander';
import { EXIT } from '../core/error-codes.ts';
import { formatLsn } from '../core/lsn.ts';
import { formatPosition } from '../core/position.ts';
import { acceptEpoch, type EpochProposal, proposeEpoch } from '../relay/accept-epoch.ts';
import { Ground } from '../relay/ground.ts';
import type { LaneState } from '../sink/lane-state.ts';
import { addSettingFlags, commandSettings, holderName } from './command-settings.ts';

export function addEpochCommand(program: Command): void {
  const epoch = program
    .command('epoch')
    .description('What Redis remembers, and the way on when it does not fit Postgres.');

  const show = epoch.command('show').description('Show the lane state and whether it fits Postgres.');
  addSettingFlags(show, ['connections', 'outbox', 'columns']);
  show.action(async () => {
    await using ground = await Ground.open(commandSettings(show), holderName());
    const proposal = await proposeEpoch(ground);
    printProposal(proposal);
    if (proposal.trouble !== null) process.exitCode = EXIT.history;
  });

  const accept = epoch
    .command('accept')
    .description('Begin a new epoch where the slot is. Says first what may be missing or double.')
    .option('--yes', 'do it; without this, nothing is changed');
  addSettingFlags(accept, ['connections', 'outbox', 'columns']);
  accept.action(async () => {
    await using ground = await Ground.open(commandSettings(accept), holderName());
    const proposal = await proposeEpoch(ground);
    printProposal(proposal);
    if (proposal.trouble === null) {
      process.stdout.write('\nNothing is wrong: no new epoch is needed.\n');
      return;
    }
    if (accept.opts<{ yes?: true }>().yes !== true) {
      process.stdout.write('\nNothing was changed. To accept this: walrelay epoch accept --yes\n');
      process.exitCode = EXIT.history;
      return;
    }
    const accepted = await acceptEpoch(ground, proposal);
    process.stdout.write('\nAccepted.\n');
    printLane(accepted);
  });
}

function printProposal(proposal: EpochProposal): void {
  if (proposal.replaces === null) process.stdout.write('Redis has no lane state.\n');
  else printLane(proposal.replaces);
  const { trouble } = proposal;
  process.stdout.write(
    trouble === null
      ? '\nIt fits Postgres.\n'
      : `\nIt does not fit Postgres: ${trouble.code}\n  ${trouble.message}\n`,
  );
  if (trouble === null) return;
  process.stdout.write('\nA new epoch would mean:\n');
  for (const consequence of proposal.consequences) process.stdout.write(`  - ${consequence}\n`);
}

function printLane(lane: LaneState): void {
  const rows: [string, string][] = [
    ['epoch', String(lane.epoch)],
    ['fence', String(lane.fence)],
    ['watermark', formatPosition(lane.watermark)],
    ['floor', formatLsn(lane.floorLsn)],
    ['cluster', `${lane.systemId}, timeline ${lane.timeline}`],
    ['slot', `${lane.slot} of the database ${lane.database}`],
  ];
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(10)} ${value}\n`);
}
