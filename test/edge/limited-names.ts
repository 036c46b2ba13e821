// What the limited edge's DNS and its tests agree on.

export const LIMITED_DOMAINS = ["busy.example.org", "calm.example.org"];
export const LIMITED_KEY_FILL = 41;
