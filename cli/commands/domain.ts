// holdfast domain: the group of commands about a domain's keys.

import { Command } from "commander";
import { domainDelegateCommand } from "./domain-delegate.ts";
import { domainRecordsCommand } from "./domain-records.ts";
import { domainRotateCommand } from "./domain-rotate.ts";
import { domainShowCommand } from "./domain-show.ts";
import { domainTrustCommand } from "./domain-trust.ts";

export function domainCommand(): Command {
  return new Command("domain")
    .summary("a domain's keys in DNS")
    .description(
      "Show a domain's keys and policy, write the records that publish them, change a key, accept a change.",
    )
    .addCommand(domainShowCommand())
    .addCommand(domainRecordsCommand())
    .addCommand(domainDelegateCommand())
    .addCommand(domainRotateCommand())
    .addCommand(domainTrustCommand());
}
