// holdfast domain: the group of commands about a domain's keys.

import { Command } from "commander";
import { domainDelegateCommand } from "./domain-delegate.ts";
import { domainRecordsCommand } from "./domain-records.ts";
import { domainShowCommand } from "./domain-show.ts";

export function domainCommand(): Command {
  return new Command("domain")
    .summary("a domain's keys in DNS")
    .description("Show a domain's keys and policy, or write the records that publish them.")
    .addCommand(domainShowCommand())
    .addCommand(domainRecordsCommand())
    .addCommand(domainDelegateCommand());
}
