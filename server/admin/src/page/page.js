// Follows /events and keeps the page as the central is. Says what page.rs says, by the same rules
// (standing.rs, words.rs): a test compares the two. Texts come from the document, so that the script is
// the same in each language.
'use strict';
document.documentElement.classList.add('scripted');
document.addEventListener('DOMContentLoaded', () => {
  const TABLE_INTERVAL = 500;       // ms between two paints
  const FRAME_BUDGET = 5;           // ms of a frame that rows may take; the others wait for the next
  const SAMPLES = 60;               // seconds of an agency's sparkline
  const TOTAL_SAMPLES = 120;        // seconds of the large graph
  const RATE_SAMPLES = 4;           // seconds over which a rate is a mean
  const SILENCE = 40000;            // ms without an event after which a stream is dead: one comes every 15 s
  const RETRY_MIN = 1000, RETRY_MAX = 30000;
  const ROWS_AT_ONCE = 60;          // a table of 1,000 takes too long to lay out at each change; page.css knows it, too
  const NAMED_AGENCIES = 7, QUIET_SECONDS = 60, LEDGER_FILLING = 90, FEW = 12;
  const MISSING = new Set(['cut', 'quiet', 'wait', 'here', 'send']);
  const URGENCY = ['cut', 'quiet', 'wait', 'here', 'send', 'done', 'won'];

  const root = document.documentElement;
  const byId = Object.fromEntries([...document.querySelectorAll('[id]')].map(it => [it.id, it]));
  const texts = JSON.parse(byId.texts.textContent);
  const body = document.querySelector('tbody');
  const calm = matchMedia('(prefers-reduced-motion: reduce)');

  // Words and numbers.

  const millis = () => performance.now();   // this page's own clock
  const say = (key, values = {}) => texts[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const plural = (key, count) => say(count === 1 ? key + '_one' : key);
  const number = count => String(count).replace(/\B(?=(\d{3})+$)/g, texts.thousands);
  const tenths = count => count >= 100 ? number(Math.floor(count / 10))
    : Math.floor(count / 10) + texts.decimal + count % 10;
  const clock = time => new Date(Math.floor(Math.max(time, 0)) * 1000).toISOString().slice(11, 19);
  const between = (earlier, later) => Math.max(Math.floor(later - earlier), 0);
  const percent = (taken, limit) => limit ? Math.min(Math.floor(taken * 100 / limit), 100) : 0;

  function bytes(count) {
    if (count < 1024) return count + ' B';
    let power = 1;
    while (power < 4 && count >= 1024 ** (power + 1)) power += 1;
    return tenths(Math.floor(count * 10 / 1024 ** power)) + ' ' + ['KiB', 'MiB', 'GiB', 'TiB'][power - 1];
  }

  function duration(seconds) {
    const micros = Math.floor(Math.round(seconds * 1e9) / 1e3);
    if (micros < 1000) return micros + ' µs';
    if (micros < 1000000) return tenths(Math.floor(micros / 100)) + ' ms';
    return tenths(Math.floor(micros / 100000)) + ' s';
  }

  function span(seconds) {
    const [unit, key] = seconds < 60 ? [1, 'second'] : seconds < 3600 ? [60, 'minute']
      : seconds < 86400 ? [3600, 'hour'] : [86400, 'day'];
    return number(Math.floor(seconds / unit)) + ' ' + texts[key];
  }

  function age(seconds) {
    if (seconds < 5) return texts.now;
    return span(seconds < 10 ? 5 : seconds < 60 ? Math.floor(seconds / 10) * 10 : seconds);
  }

  function ofAgencies(key, agencies) {
    const named = agencies.length > NAMED_AGENCIES + 1 ? NAMED_AGENCIES : agencies.length;
    const list = agencies.slice(0, named);
    const more = agencies.length - named;
    if (more) return say(key + '_more', { list: list.join(', '), more: number(more) });
    const last = list.pop();
    return say(key + (list.length ? '_many' : '_one'),
      { list: list.length ? `${list.join(', ')} ${texts.and} ${last}` : last });
  }

  // What is known. Rows are adopted from the document as they were rendered.

  let status = null;                // the last status; its agencies are in the rows
  let received = 0;                 // when, by this page's own clock
  let largest = 0;                  // bets of the agency with the most
  const rows = new Map();
  const text = cell => cell.firstChild.firstChild;
  [...body.rows].forEach(tr => {
    const cells = [...tr.cells];
    rows.set(Number(cells[0].textContent), {
      tr, number: Number(cells[0].textContent), agency: null, ball: null, state: tr.className, share: -1,
      label: cells[1].firstChild.lastChild, stored: text(cells[2]), bar: cells[2].lastChild, rate: text(cells[3]),
      path: null, spoken: null, rejected: text(cells[4]), progress: text(cells[5]), winners: text(cells[6]),
      before: 0, samples: [], moving: 0, speed: null, visible: false,
    });
  });
  const inOrder = [...rows.values()].sort((one, other) => one.number - other.number);
  inOrder.forEach((row, index) => { row.ball = byId.balls.children[index]; });

  const now = () => !status ? 0 : status.time + (link === 'live' ? (millis() - received) / 1000 : 0);

  function stateOf(agency, time) {
    if (agency.phase === 'drawn') return 'won';
    if (agency.phase === 'finished') return 'done';
    if (agency.phase === 'waiting') return agency.connected ? 'here' : 'wait';
    if (!agency.connected) return 'cut';
    return agency.last_progress !== null && between(agency.last_progress, time) > QUIET_SECONDS ? 'quiet' : 'send';
  }

  const needsReview = row => row.shown === 'cut' || row.shown === 'quiet' || row.agency.rejected > 0;

  // The verdict.

  const BAD = new Set(['storage_failing', 'ledger_full', 'connections_full', 'certificate_expired']);

  function issues() {
    const found = status.problems.map(key => ({ level: BAD.has(key) ? 2 : 1, key, text: texts[key] || key }));
    const { bytes: taken, limit } = status.ledger;
    const isFull = status.problems.includes('ledger_full');
    if (limit !== null && !isFull && percent(taken, limit) >= LEDGER_FILLING) found.push({ level: 1, text: texts.ledger_filling });
    if (!status.ready && found.every(it => it.level < 2 && it.key !== 'stopping' && it.key !== 'recovering')) found.push({ level: 2, text: texts.not_ready });
    for (const state of ['cut', 'quiet']) {
      const agencies = inOrder.filter(row => row.shown === state).map(row => row.number);
      if (agencies.length) found.push({ level: 1, text: ofAgencies(state, agencies) });
    }
    return found.sort((one, other) => other.level - one.level);
  }

  function waits() {
    const { stage, drawn } = status.lottery;
    if (stage === 'echo') return texts.echo;
    if (stage === 'drawn') return drawn === null ? texts.drawn : say('drawn_at', { clock: clock(drawn) });
    if (!status.lottery.agencies) return '';
    const missing = inOrder.filter(row => MISSING.has(row.shown)).map(row => row.number);
    return missing.length ? ofAgencies('missing', missing) : texts.missing_none;
  }

  // Painting: only what differs, at most every TABLE_INTERVAL, in an animation frame.

  const dirty = new Set();
  let painting = false, painted = 0, sorted = 0, drawing = false, held = false;

  function schedule() {
    if (painting) return;
    painting = true;
    setTimeout(() => requestAnimationFrame(paint), Math.max(painted + TABLE_INTERVAL - millis(), 0));
  }

  /** Assigns what differs: the browser lays out anew for an equal value, too. */
  function assign(target, key, value) {
    if (target[key] !== value) target[key] = value;
  }

  const size = text => text.length <= 3 ? 'tiny' : text.length <= 7 ? 'short' : text.length <= 10 ? 'middle' : 'long';

  const put = (element, text) => assign(element, 'textContent', text);

  function paint() {
    painting = false;
    painted = millis();
    if (!status) return;
    const time = now();
    for (const row of rows.values()) judge(row, time);
    paintVerdict();
    paintCount();
    paintFacts(time);
    paintChips();
    assign(root.dataset, 'stage', status.lottery.stage);
    if (drawing) celebrate();
    if (!held) drain();
  }

  /** Finds what a row would show, and marks it if that isn't what it shows. */
  function judge(row, time) {
    row.shown = stateOf(row.agency, time);
    row.ago = row.agency.last_progress === null ? texts.nothing : age(between(row.agency.last_progress, time));
    row.part = percent(row.agency.stored, largest);
    const differs = !row.tr.hidden && (row.ago !== row.progress.data || row.part !== row.share);
    if (differs || row.shown !== row.state) dirty.add(row);
  }

  function drain() {
    const until = millis() + FRAME_BUDGET;
    for (const row of dirty) {
      dirty.delete(row);
      paintRow(row);
      if (millis() > until) break;
    }
    if (dirty.size) requestAnimationFrame(drain);
    else requestAnimationFrame(() => arrange());
  }

  function paintRow(row) {
    const { shown } = row;
    if (row.state !== shown) {
      row.state = row.tr.className = shown;
      if (row.ball) row.ball.className = shown;
      assign(row.label, 'data', texts['state_' + shown]);
      unsorted = true;
    }
    // Its first rejected bets put it among those to look at first, too.
    const review = needsReview(row);
    if (row.review !== review) unsorted = true;
    row.review = review;
    if (!row.tr.hidden) paintTexts(row);
  }

  /** Those of a hidden row are painted when it is shown. */
  function paintTexts(row) {
    const { agency } = row;
    const winners = agency.winners === null ? texts.nothing : number(agency.winners);
    assign(row.stored, 'data', number(agency.stored));
    assign(row.rejected, 'data', number(agency.rejected));
    assign(row.progress, 'data', row.ago);
    assign(row.winners, 'data', winners);
    assign(row.rate, 'data', row.speed === null ? texts.nothing : number(row.speed));
    if (agency.rejected) row.tr.cells[4].className = 'some';
    if (row.share !== row.part) row.bar.value = row.share = row.part;
    const below = row.ball && row.ball.lastElementChild;
    if (below && agency.winners !== null) put(below, winners);
  }

  function paintVerdict() {
    const found = issues();
    const headline = found.length ? found[0].text : texts.good;
    const changed = byId.headline.lastChild.textContent !== headline;
    assign(root.dataset, 'level', ['good', 'warning', 'bad'][found.length ? found[0].level : 0]);
    put(byId.headline.lastChild, headline);
    const draw = status.lottery.draw === null ? '' : say('draw', { draw: status.lottery.draw });
    put(byId.draw, draw);
    put(byId.also, found.slice(1).map(it => it.text).join(' '));
    put(byId.waits, waits());
    if (changed) announce(headline);
    const { stage, agencies, finished } = status.lottery;
    const summary = link === 'lost' ? texts.link_lost + ' · ' : found.length ? '! ' : stage === 'open' ? `${finished}/${agencies} · ` : '';
    const title = summary + (draw && draw + ' · ') + texts.name;
    if (document.title !== title) document.title = title;
  }

  function paintCount() {
    const { stage, stored, agencies, winners } = status.lottery;
    const total = stage === 'echo' ? status.connections.open : stored;
    const text = number(total);
    put(byId.total, text);
    assign(byId.total, 'className', size(text));
    put(byId['total-label'], plural(stage === 'echo' ? 'open_connections' : 'stored', total));
    put(byId['winners-label'], winners === null ? texts.winners_unknown : plural('winners', winners));
    put(byId['winners-of'], say('winners_of', { stored: text, agencies: number(agencies) }));
    paintDigits(winners === null ? '' : number(winners));
  }

  function paintDigits(text) {
    const spoken = byId.winners.firstElementChild;
    if (spoken.textContent === text) return;
    spoken.textContent = text;
    byId.digits.className = size(text);
    byId.digits.replaceChildren(...[...text].map((digit, turn) => {
      const ball = document.createElement(digit >= '0' && digit <= '9' ? 'i' : 's');
      ball.textContent = digit;
      ball.style.setProperty('--turn', turn);
      return ball;
    }));
  }

  function paintFacts(time) {
    const { commits, connections } = status;
    put(byId.rejected, number(status.lottery.rejected));
    put(byId.commit, commits.p50 === null ? texts.nothing : duration(commits.p50));
    put(byId['commit-note'], commits.p99 === null ? texts.commit_none : say('commit_note', { p99: duration(commits.p99) }));
    put(byId.connections, number(connections.open));
    put(byId['connections-note'], say('connections_note',
      { limit: number(connections.limit), agencies: number(connections.agencies), admin: number(connections.admin) }));
    assign(byId['connections-bar'], 'value', percent(connections.open, connections.limit));
    for (const name of ['buffers', 'ledger']) {
      const { bytes: taken, limit } = status[name];
      put(byId[name], bytes(taken));
      put(byId[name + '-note'], limit === null ? texts.unlimited : say('of', { limit: bytes(limit) }));
      assign(byId[name + '-bar'], 'value', percent(taken, limit));
    }
    put(byId.uptime, span(between(status.started, time)));
    put(byId['uptime-note'], say('uptime_note', { clock: clock(status.started) }));
  }

  // Rates: the change in each second, as this page sees it.

  const total = { before: 0, samples: [] };
  let sampled = 0;

  /** Begins anew: what changed while nothing was seen has no rate. */
  function restartSamples() {
    sampled = millis();
    total.before = status.lottery.stored;
    for (const row of rows.values()) row.before = row.agency.stored;
  }

  const mean = samples => {
    const last = samples.slice(-RATE_SAMPLES);
    return Math.round(last.reduce((sum, it) => sum + it, 0) / last.length);
  };

  function sample(of, stored, seconds, most) {
    const rate = Math.max(stored - of.before, 0) / seconds;
    of.before = stored;
    of.samples.push(rate);
    if (of.samples.length > most) of.samples.shift();
    return rate;
  }

  function sampleAll() {
    const seconds = (millis() - sampled) / 1000;
    if (seconds < 0.5) return;
    sampled = millis();
    sample(total, status.lottery.stored, seconds, TOTAL_SAMPLES);
    for (const row of rows.values()) sampleRow(row, seconds);
    put(byId.rate, status.lottery.stage === 'open' ? say('rate_total', { rate: number(mean(total.samples)) }) : '');
    paintGraph();
  }

  function sampleRow(row, seconds) {
    if (!row.moving && row.agency.stored === row.before) {
      if (row.speed === null) { row.speed = 0; dirty.add(row); }
      return;
    }
    // Until the last change has left the sparkline.
    row.moving = row.agency.stored === row.before ? row.moving - 1 : SAMPLES;
    sample(row, row.agency.stored, seconds, SAMPLES);
    const speed = mean(row.samples);
    if (speed !== row.speed) { row.speed = speed; dirty.add(row); }
    if (row.visible) paintSpark(row);
  }

  function line(samples, room, height) {
    const most = Math.max(...samples, 1);
    const start = room - samples.length;
    return samples.map((it, at) => `${at ? 'L' : 'M'}${start + at} ${(height - 1 - it / most * (height - 2)).toFixed(1)}`).join('');
  }

  function extent(samples) {
    return { min: number(Math.round(Math.min(...samples))), last: number(mean(samples)), max: number(Math.round(Math.max(...samples))) };
  }

  function paintSpark(row) {
    if (row.samples.length < 2 || !row.samples.some(Boolean)) return;
    if (!row.path) {
      const cell = row.tr.cells[3].firstChild;
      cell.append(byId.spark.content.cloneNode(true));
      row.path = cell.querySelector('path');
      row.spoken = cell.lastElementChild;
    }
    row.path.setAttribute('d', line(row.samples, SAMPLES, 16));
    put(row.spoken, say('spark', extent(row.samples)));
  }

  function paintGraph() {
    if (total.samples.length < 2) return;
    const along = line(total.samples, TOTAL_SAMPLES, 40);
    const [area, stroke] = byId.graph.children;
    stroke.setAttribute('d', along);
    area.setAttribute('d', `${along}V40H${TOTAL_SAMPLES - total.samples.length}Z`);
    put(byId['graph-text'], say('graph', extent(total.samples)));
  }

  // Filter and order.

  let order = [...rows.values()], limit = ROWS_AT_ONCE;
  let kind = 'all', wanted = null, column = null, ascending = true, unsorted = false;

  const KINDS = {
    all: () => true, review: needsReview, waiting: row => row.agency.phase === 'waiting',
    sending: row => row.agency.phase === 'sending', finished: row => row.agency.phase === 'finished',
    drawn: row => row.agency.phase === 'drawn',
  };
  const VALUES = {
    agency: row => row.number, state: row => URGENCY.indexOf(row.shown), stored: row => row.agency.stored,
    rate: row => row.speed || 0, rejected: row => row.agency.rejected, progress: row => row.agency.last_progress || 0,
    winners: row => row.agency.winners || 0,
  };
  const urgency = row => (needsReview(row) ? 0 : 10) + URGENCY.indexOf(row.shown);

  function paintChips() {
    for (const chip of byId.chips.children) {
      const count = inOrder.filter(KINDS[chip.dataset.kind]).length;
      put(chip.lastElementChild, number(count));
      chip.hidden = !count && chip.dataset.kind !== 'all' && chip.dataset.kind !== kind;
    }
  }

  /** Puts rows into order: after one has changed its state at most once a second, else every two. */
  function arrange(asked = false) {
    const since = millis() - sorted;
    const moves = column && column !== 'agency' && since > 2000;
    if (!asked && !moves && (!unsorted || since < 1000)) return;
    unsorted = false;
    sorted = millis();
    const value = column ? VALUES[column] : urgency;
    order = inOrder.slice().sort((one, other) =>
      (ascending ? value(one) - value(other) : value(other) - value(one)) || one.number - other.number);
    let at = body.firstElementChild;
    for (const row of order) {
      if (row.tr === at) at = at.nextElementSibling;
      else body.insertBefore(row.tr, at);
    }
    choose();
  }

  function choose() {
    let found = 0;
    for (const row of order) {
      // Before the first status nothing can be chosen.
      const chosen = !status || (KINDS[kind](row) && (!wanted || wanted(row.number)));
      found += chosen;
      const hidden = !chosen || found > limit;
      if (row.tr.hidden === hidden) continue;
      row.tr.hidden = hidden;
      // What wasn't painted yet comes with the first paint.
      if (!hidden && row.part !== undefined) paintTexts(row);
    }
    byId['no-match'].hidden = found > 0;
    byId.rest.hidden = found <= limit;
    put(byId.rest.firstElementChild, say('shown', { shown: number(Math.min(limit, found)), n: number(found) }));
    return found;
  }

  /** Filters anew, from the first rows on. */
  function filter() {
    limit = ROWS_AT_ONCE;
    announce(say('found', { n: number(choose()) }));
  }

  /** `7, 20-29`: these agencies; null for all. */
  function parseWanted(text) {
    const ranges = [...text.matchAll(/(\d+)(?:\s*[-–]\s*(\d+))?/g)].map(it => [Number(it[1]), Number(it[2] || it[1])]);
    return ranges.length ? number => ranges.some(([from, to]) => from <= number && number <= to) : null;
  }

  function sortBy(chosen, header) {
    const first = chosen === 'agency' || chosen === 'state';
    if (column !== chosen) [column, ascending] = [chosen, first];
    else if (ascending === first) ascending = !ascending;
    else [column, ascending] = [null, true];
    document.querySelectorAll('[aria-sort]').forEach(it => it.removeAttribute('aria-sort'));
    if (column) header.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
    arrange(true);
  }

  function enableTools() {
    for (const chip of byId.chips.children) {
      chip.disabled = false;
      chip.addEventListener('click', () => {
        kind = chip.dataset.kind;
        for (const other of byId.chips.children) other.setAttribute('aria-pressed', other === chip);
        filter();
      });
    }
    for (const header of document.querySelectorAll('thead th')) {
      const [name, button] = [header.className, document.createElement('button')];
      button.type = 'button';
      button.textContent = header.textContent;
      button.title = say('sort_hint', { column: header.textContent });
      button.addEventListener('click', () => sortBy(name, header));
      header.replaceChildren(button);
      header.classList.add('sorts');
    }
    byId.search.hidden = rows.size <= FEW;
    byId.find.addEventListener('input', () => {
      wanted = parseWanted(byId.find.value);
      filter();
    });
    byId.more.addEventListener('click', () => {
      limit *= 2;
      choose();
    });
  }

  // The draw.

  function celebrate() {
    drawing = false;
    announce(say('say_drawn', { winners: number(status.lottery.winners || 0) }));
    if (calm.matches) return;
    root.classList.add('moment');
    root.classList.toggle('few', rows.size <= FEW * 5);
    held = true;
    const start = millis() + 900;
    const step = () => {
      const turn = Math.max(millis() - start, 0) / 2200 * inOrder.length;
      for (const row of dirty) if (inOrder.indexOf(row) < turn) { dirty.delete(row); paintRow(row); }
      if (turn < inOrder.length) return requestAnimationFrame(step);
      held = false;
      drain();
    };
    requestAnimationFrame(step);
    setTimeout(() => root.classList.remove('moment'), 9000);
  }

  // Announcements for a screen reader: what has changed for good, never a value that ticks.

  function announce(text) {
    put(byId.news, text);
  }

  // The stream.

  let source = null, link = 'still', paused = false, retry = 0, backoff = RETRY_MIN, heard = 0;

  function setLink(next) {
    if (link === next) return;
    if (next === 'lost' || next === 'refused') announce(texts['say_' + next]);
    if ((link === 'lost' || link === 'refused') && next === 'live') announce(texts.say_live);
    // What is shown is as old as what was heard last.
    if (link === 'live' && status) status.time += (heard - received) / 1000;
    link = next;
    root.dataset.link = next === 'refused' ? 'lost' : next;
    put(byId.link.lastElementChild, texts['link_' + next]);
    paintStale();
    schedule();
  }

  function paintStale() {
    byId.stale.hidden = link !== 'refused' && (!(link === 'lost' || link === 'paused') || !status);
    if (byId.stale.hidden) return;
    if (link === 'refused') return put(byId.stale, texts.refused_since);
    const values = { clock: clock(status.time), ago: say('ago', { age: span(Math.floor((millis() - heard) / 1000)) }) };
    put(byId.stale, say(link + '_since', values));
  }

  function close() {
    clearTimeout(retry);
    if (source) source.close();
    source = null;
  }

  function open() {
    close();
    if (paused || document.hidden) return;
    if (link !== 'lost' && link !== 'refused') setLink('connecting');
    heard = status ? heard : millis();
    opened = millis();
    source = new EventSource('events');
    source.addEventListener('status', event => take(event, true));
    source.addEventListener('change', event => take(event, false));
    source.addEventListener('alive', () => { heard = millis(); });
    source.addEventListener('error', () => {
      // The browser tries again by itself, unless the central has refused.
      if (!source || source.readyState !== EventSource.CLOSED) return setLink('lost');
      tryLater();
      nameRefusal();
    });
  }

  /** There is no stream, and nothing says why: a central that answers has none left. */
  function nameRefusal() {
    fetch('healthz', { cache: 'no-store', signal: AbortSignal.timeout(5000) }).then(() => 'refused', () => 'lost')
      .then(found => { if (link !== 'live' && link !== 'paused') setLink(found); });
  }

  let opened = 0;

  function tryLater() {
    close();
    retry = setTimeout(open, backoff * (0.75 + Math.random() / 2));
    backoff = Math.min(backoff * 2, RETRY_MAX);
  }

  function take(event, whole) {
    const next = JSON.parse(event.data);
    if (whole && !fits(next)) return startOver();
    if (!whole && !status) return;
    const [isFirst, stage] = [!status, status && status.lottery.stage];
    for (const agency of next.agencies) {
      const row = rows.get(agency.agency);
      if (!row) continue;
      row.agency = agency;
      dirty.add(row);
    }
    status = next;
    received = heard = millis();
    backoff = RETRY_MIN;
    largest = inOrder.reduce((most, row) => Math.max(most, row.agency.stored), 0);
    if (whole) restartSamples();
    if (isFirst) enableTools();
    setLink('live');
    if (stage === 'open' && next.lottery.stage === 'drawn') drawing = true;
    schedule();
  }

  /** Whether the page was made for this lottery: it has a row for each agency. */
  function fits(next) {
    return next.agencies.length === rows.size && next.agencies.every(agency => rows.has(agency.agency));
  }

  /** Another lottery needs another page; not more often than every ten seconds. */
  function startOver() {
    close();
    setLink('connecting');
    retry = setTimeout(() => location.reload(), Math.max(10000 - millis(), 0));
  }

  function everySecond() {
    paintStale();
    if (link === 'live') {
      sampleAll();
      schedule();
    }
    if (!source || millis() - Math.max(heard, opened) <= SILENCE) return;
    setLink('lost');
    open();
  }

  byId.pause.addEventListener('click', () => {
    paused = !paused;
    put(byId.pause, paused ? texts.resume : texts.pause);
    if (!paused) return open();
    close();
    setLink('paused');
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) return open();
    close();
    if (!paused) setLink('connecting');
  });
  addEventListener('pagehide', close);
  addEventListener('pageshow', event => { if (event.persisted) open(); });

  const watch = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      const row = rows.get(Number(target.cells[0].textContent));
      row.visible = isIntersecting;
      if (isIntersecting) paintSpark(row);
    }
  }, { rootMargin: '200px' });
  for (const row of inOrder) watch.observe(row.tr);

  byId.pause.hidden = false;
  choose();
  setInterval(everySecond, 1000);
  root.classList.add('ready');
  open();
});
