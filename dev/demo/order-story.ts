import type { AGGREGATES } from './demo-place.ts';

/** What happens in the shop: pure, chance comes in as an argument. */
export interface Order {
  readonly id: string;
  readonly customer: string;
  readonly items: readonly Item[];
  readonly totalCents: number;
  status: 'new' | 'placed' | 'paid' | 'shipped' | 'cancelled';
}

interface Item {
  readonly sku: string;
  readonly name: string;
  readonly quantity: number;
  readonly unitPriceCents: number;
}

export interface OutboxEvent {
  readonly aggregate: (typeof AGGREGATES)[number];
  readonly aggregateId: string;
  readonly type: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** One transaction: the order's new status and the events that tell of it. */
export interface Step {
  readonly order: Order;
  readonly status: Order['status'];
  readonly events: readonly OutboxEvent[];
  /** Refused in the end, so the transaction is rolled back, and with it the events. */
  readonly isRolledBack: boolean;
}

export type Chance = () => number;

const ROLLBACK_SHARE = 0.04;
const CANCEL_SHARE = 0.08;

export function newOrder(number: number, chance: Chance): Order {
  const items = Array.from({ length: 1 + Math.floor(chance() * 3) }, () => ({
    ...pick(GOODS, chance),
    quantity: 1 + Math.floor(chance() * 2),
  }));
  const totalCents = items.reduce((sum, item) => sum + item.quantity * item.unitPriceCents, 0);
  return { id: `O-${number}`, customer: pick(CUSTOMERS, chance), items, totalCents, status: 'new' };
}

export function isFinished(order: Order): boolean {
  return order.status === 'shipped' || order.status === 'cancelled';
}

/** What happens to the order next. */
export function nextStep(order: Order, chance: Chance): Step {
  const { id, totalCents } = order;
  const about = (type: string, payload: Record<string, unknown>): OutboxEvent => ({
    aggregate: 'order',
    aggregateId: id,
    type,
    payload: { orderId: id, ...payload },
  });
  const step = (status: Order['status'], ...events: OutboxEvent[]): Step => ({
    order,
    status,
    events,
    isRolledBack: chance() < ROLLBACK_SHARE,
  });

  switch (order.status) {
    case 'new':
      return step(
        'placed',
        about('order.placed', { customer: order.customer, items: order.items, totalCents, currency: 'EUR' }),
      );
    case 'placed':
      if (chance() < CANCEL_SHARE)
        return step('cancelled', about('order.cancelled', { reason: 'changed their mind – “too slow”' }));
      return step(
        'paid',
        about('order.paid', { amountCents: totalCents, currency: 'EUR', method: pick(METHODS, chance) }),
      );
    case 'paid': {
      const parcelId = `P-${id.slice(2)}`;
      const carrier = pick(CARRIERS, chance);
      // Two events of one commit, each in a stream of its own.
      return step('shipped', about('order.shipped', { parcelId, carrier }), {
        aggregate: 'parcel',
        aggregateId: parcelId,
        type: 'parcel.sent',
        payload: { orderId: id, parcelId, carrier, weightGrams: 200 + Math.floor(chance() * 3000) },
      });
    }
    case 'shipped':
    case 'cancelled':
      throw new Error(`nothing more happens to ${id}`);
  }
}

function pick<T>(list: readonly T[], chance: Chance): T {
  return list[Math.floor(chance() * list.length)] as T;
}

const CUSTOMERS = ['Ada Lovelace', 'Grace Hopper', 'Alan Turing', 'José Álvarez', '王小云', 'Søren Ø.'];
const METHODS = ['card', 'transfer', 'wallet'];
const CARRIERS = ['Northpost', 'Kestrel', 'Blue Van'];
const GOODS = [
  { sku: 'TEA-042', name: 'Darjeeling, 250 g', unitPriceCents: 1490 },
  { sku: 'CUP-007', name: 'Stoneware cup', unitPriceCents: 1850 },
  { sku: 'POT-003', name: 'Teapot, 1 l', unitPriceCents: 4200 },
  { sku: 'TIN-011', name: 'Tin with lid', unitPriceCents: 790 },
];
