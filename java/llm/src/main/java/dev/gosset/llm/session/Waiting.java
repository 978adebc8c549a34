package dev.gosset.llm.session;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;

/** Sessions that wait: those of one owner in order, the owners in turn. One thread at a time. */
final class Waiting {
    /** The owner whose turn it is comes first; none without sessions. */
    private final Map<Object, Queue<Session>> queues = new LinkedHashMap<>();

    private long tokens;
    private int size;

    int size() {
        return size;
    }

    /** Tokens of all prompts and of what they may become. */
    long tokens() {
        return tokens;
    }

    void add(Session session) {
        queues.computeIfAbsent(session.owner, owner -> new ArrayDeque<>()).add(session);
        size++;
        tokens += session.tokens();
    }

    /** The one to begin, which stays; null where none may. */
    Session next() {
        return queues.values().stream()
                .map(Queue::peek)
                .filter(Session::mayBegin)
                .findFirst()
                .orElse(null);
    }

    /** Takes the first session of an owner out, whose turn is over by that. */
    void remove(Session first) {
        Queue<Session> queue = queues.remove(first.owner);
        queue.remove();
        if (!queue.isEmpty()) {
            queues.put(first.owner, queue);
        }
        size--;
        tokens -= first.tokens();
    }

    void dropCancelled() {
        for (Iterator<Queue<Session>> all = queues.values().iterator(); all.hasNext(); ) {
            Queue<Session> queue = all.next();
            queue.removeIf(session -> {
                if (session.isCancelled()) {
                    size--;
                    tokens -= session.tokens();
                }
                return session.isCancelled();
            });
            if (queue.isEmpty()) {
                all.remove();
            }
        }
    }

    List<Session> removeAll() {
        List<Session> all = new ArrayList<>();
        queues.values().forEach(all::addAll);
        queues.clear();
        size = 0;
        tokens = 0;
        return all;
    }
}
