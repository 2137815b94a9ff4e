import { describe, it } from "vitest"
import { campaign } from "./kills.ts"

describe("the coding agent", () => {
  it("runs no call twice when it is killed at 50 random points, and always ends", { timeout: 900_000 }, () =>
    campaign("coding-agent", 50)
  )
})
