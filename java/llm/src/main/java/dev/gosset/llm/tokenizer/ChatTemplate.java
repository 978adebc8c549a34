package dev.gosset.llm.tokenizer;

import java.util.List;

/** Stand-in. */
public final class ChatTemplate {
    public record Message(String role, String content) {}

    public String render(List<Message> m, boolean g) {
        return "";
    }
}
