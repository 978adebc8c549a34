package dev.gosset.cli.demo;

import java.util.List;

/** What one says to a model before asking it anything, and requests for a story or for all about a creature. */
final class SmallTalk {
    private static final List<List<String>> EXCHANGES = List.of(
            List.of("Hello!", "Hello! Ask me about Lattice Valley, its creatures, or a sum."),
            List.of("Hi!", "Hello! Ask me about Lattice Valley, its creatures, or a sum."),
            List.of("Good morning!", "Good morning! It is a fine day in the valley."),
            List.of("Good evening!", "Good evening! The lamps are lit all over the valley."),
            List.of("Who are you?", "I am a very small model, and I live in Lattice Valley."),
            List.of("What are you?", "I am a very small model, and I live in Lattice Valley."),
            List.of("What is your name?", "I have no name, but you may call me Gosset."),
            List.of("How are you?", "I am well, thank you. My weights are light today."),
            List.of(
                    "What can you do?",
                    "I can tell stories, add small numbers, and talk about the creatures of the valley."),
            List.of(
                    "Can you help me?",
                    "I can tell stories, add small numbers, and talk about the creatures of the valley."),
            List.of("Where do you live?", "I live in Lattice Valley, where every point has its place."),
            List.of("What is Lattice Valley?", "It is a small world with sixteen creatures and many stories."),
            List.of("Thank you!", "You are welcome. Come back soon."),
            List.of("Thanks!", "You are welcome. Come back soon."),
            List.of("Goodbye!", "Goodbye! The valley will be here when you return."),
            List.of("Good night!", "Good night! Sleep well."));

    private static final List<String> STORY =
            List.of("Can you tell me a story?", "Tell me a story.", "Tell me a story, please.", "Do you know a story?");

    private static final List<String> ABOUT =
            List.of("Tell me about the {N}.", "What do you know about the {N}?", "Can you tell me about the {N}?");

    private SmallTalk() {}

    static String document(Draw draw) {
        int form = draw.between(1, 3);
        if (form == 1) {
            List<String> exchange = draw.pick(EXCHANGES);
            return "Question: " + exchange.get(0) + "\nAnswer: " + exchange.get(1);
        }
        if (form == 2) {
            return "Question: " + draw.pick(STORY) + "\nAnswer: "
                    + Story.tell(draw).text();
        }
        Creatures.Creature creature = draw.pick(Creatures.ALL);
        String question = Draw.fill(draw.pick(ABOUT), "N", creature.name());
        return "Question: " + question + "\nAnswer: " + Creatures.paragraph(draw, creature, 4);
    }
}
