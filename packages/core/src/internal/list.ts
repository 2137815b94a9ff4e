/**
 * A list that grows, and in which an item may take the place of another.
 *
 * A change takes as long in a long list as in a short one: it shares what there was with the list before, which stays as
 * it is. The array of the items is made when it is asked for, and kept.
 */

/** An item that the list before does not have. */
interface Change<A> {
  readonly before: List<A>
  readonly place: number
  readonly item: A
}

export class List<A> {
  readonly length: number
  // What was made already is private: who compares two lists does not see whether somebody asked for the items of one.
  #change: Change<A> | undefined
  #items: ReadonlyArray<A> = []

  constructor(change?: Change<A>) {
    this.length = change === undefined ? 0 : Math.max(change.before.length, change.place + 1)
    this.#change = change
  }

  /** Puts an item in this place, which may be the one after the last. */
  put(place: number, item: A): List<A> {
    return new List({ before: this, place, item })
  }

  append(item: A): List<A> {
    return this.put(this.length, item)
  }

  toArray(): ReadonlyArray<A> {
    const changes: Array<Change<A>> = []
    let before = this.#items
    for (let change = this.#change; change !== undefined; change = change.before.#change) {
      changes.push(change)
      before = change.before.#items
    }
    if (changes.length > 0) {
      const items = [...before]
      for (const { item, place } of changes.toReversed()) {
        items[place] = item
      }
      this.#items = items
      this.#change = undefined
    }
    return this.#items
  }
}
