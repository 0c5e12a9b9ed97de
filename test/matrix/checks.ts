import type { Check } from './check.ts';
import { fsync, fsyncRefused, replicas } from './checks/durability.ts';
import { faults } from './checks/faults.ts';
import { init } from './checks/init.ts';
import { auditAndRepair, epochs } from './checks/operations.ts';
import { messages, presets } from './checks/outboxes.ts';
import { droppedPublication, filteredPublication } from './checks/publication.ts';
import { leastPrivilege } from './checks/rights.ts';
import { droppedSlot, lostSlot } from './checks/slot.ts';

/** In the order in which they run in each cell. */
export const CHECKS: readonly Check[] = [
  init,
  faults,
  messages,
  presets,
  droppedPublication,
  filteredPublication,
  droppedSlot,
  lostSlot,
  epochs,
  auditAndRepair,
  replicas,
  fsync,
  fsyncRefused,
  leastPrivilege,
];
