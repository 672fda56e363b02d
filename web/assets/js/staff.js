// Entry of the staff's pages. Every figure and every change goes through /v1/operator.

import { startBoard } from './staff-board.js';
import { startEvent, startEvents } from './staff-events.js';
import { startFinance } from './staff-finance.js';
import { startPlayers } from './staff-players.js';
import { startShards } from './staff-shards.js';
import { startWebhooks } from './staff-webhooks.js';

const pages = { board: startBoard, events: startEvents, event: startEvent, players: startPlayers, finance: startFinance, shards: startShards, webhooks: startWebhooks };
pages[document.body.dataset.page]?.();
