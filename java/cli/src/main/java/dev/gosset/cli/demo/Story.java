package dev.gosset.cli.demo;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A little story: people of the valley walk about and carry, leave, find and give things, and the story keeps the books. The
 * questions are those that the last sentence about the person or the thing settles.
 */
final class Story {
    /** Someone of the valley. */
    record Person(String name, String she, String her) {}

    /** Something that can be carried. */
    record Thing(String name, String colour) {
        /** With its article. */
        String the() {
            return "the " + name;
        }

        /** With its colour. */
        String coloured() {
            return colour + " " + name;
        }
    }

    /** Something that happens. */
    sealed interface Event {
        /** A person goes somewhere, with empty hands. */
        record Go(Person person, String place) implements Event {}

        /** A person takes what she holds somewhere. */
        record Carry(Person person, Thing thing, String place) implements Event {}

        /** A person puts down what she holds. */
        record Leave(Person person, Thing thing, String place) implements Event {}

        /** A person picks up what lies somewhere. */
        record Take(Person person, Thing thing, String place) implements Event {}

        /** A person gives what she holds to another. */
        record Give(Person from, Person to, Thing thing) implements Event {}
    }

    static final List<Person> PEOPLE = List.of(
            she("Mira"),
            she("Nell"),
            she("Hana"),
            she("Ada"),
            she("Juno"),
            she("Ines"),
            she("Sana"),
            she("Wren"),
            she("Lotte"),
            she("Vera"),
            she("Kaya"),
            she("Rosa"),
            she("Dora"),
            she("Elsa"),
            he("Tobin"),
            he("Oskar"),
            he("Milo"),
            he("Pip"),
            he("Bruno"),
            he("Felix"),
            he("Otto"),
            he("Theo"),
            he("Emil"),
            he("Jonas"),
            he("Ravi"),
            he("Hugo"),
            he("Amir"),
            he("Nils"));

    static final List<String> THINGS = List.of(
            "key", "lantern", "bell", "map", "kite", "drum", "spoon", "hat", "book", "ball", "cup", "flute", "mirror",
            "basket", "ribbon", "clock", "scarf", "box", "candle", "rope", "hammer", "whistle", "teapot", "brush");

    static final List<String> COLOURS =
            List.of("red", "blue", "green", "yellow", "white", "black", "brown", "silver", "golden", "purple");

    static final List<String> PLACES = List.of(
            "kitchen",
            "garden",
            "attic",
            "cellar",
            "barn",
            "mill",
            "library",
            "boathouse",
            "bakery",
            "tower",
            "orchard",
            "stable",
            "greenhouse",
            "workshop",
            "market",
            "meadow",
            "chapel",
            "harbour");

    private static final List<String> DAYS =
            List.of("It was a", "One day it was a", "So it was a", "The day began as a");
    private static final List<String> WEATHER = List.of(
            "bright", "rainy", "windy", "foggy", "cold", "warm", "quiet", "busy", "long", "snowy", "sunny", "sleepy");
    private static final List<String> TIMES =
            List.of("morning", "afternoon", "evening", "Sunday", "Monday", "market day", "holiday");

    private static final List<String> INTRODUCTIONS = List.of(
            "{P} had a {T}.",
            "{P} had a {T} and was very proud of it.",
            "There was a {T}, and it belonged to {P}.",
            "An old aunt had sent {P} a {T}.",
            "For {her} birthday {P} got a {T}.",
            "{P} was never seen without {her} {T}.",
            "In {her} pocket {P} had a very small {T}.",
            "{P} came home with a {T}.");

    private static final List<String> GOING = List.of(
            "{P} went to the {L}.",
            "{P} walked to the {L}.",
            "{P} ran all the way to the {L}.",
            "{P} went to the {L}, humming a tune.",
            "After lunch {P} went to the {L}.",
            "There was work to do in the {L}, so {P} went there.",
            "{P} was tired and sat down in the {L}.",
            "{P} hurried to the {L} because {she} was late.",
            "Without a word {P} went off to the {L}.",
            "{P} wanted to rest and went to the {L}.");

    private static final List<String> CARRYING = List.of(
            "{P} carried the {T} to the {L}.",
            "{P} took the {T} to the {L}.",
            "{P} went to the {L} with the {T}.",
            "Holding the {T}, {P} walked to the {L}.",
            "{P} wanted to show the {T} to everyone in the {L}, so {she} took it there.",
            "With the {T} in {her} hands {P} ran to the {L}.",
            "{P} brought the {T} to the {L}.");

    private static final List<String> LEAVING = List.of(
            "{P} left the {T} in the {L}.",
            "{P} put the {T} down in the {L}.",
            "{P} hid the {T} in the {L}, where nobody would look.",
            "{P} forgot the {T} in the {L}.",
            "In the {L}, {P} laid the {T} on the floor.",
            "{P} placed the {T} on a shelf in the {L}.",
            "The {T} was heavy, so {P} left it in the {L}.");

    private static final List<String> TAKING = List.of(
            "{P} found the {T} in the {L} and picked it up.",
            "{P} went to the {L} and took the {T}.",
            "{P} saw the {T} in the {L} and took it.",
            "In the {L}, {P} picked up the {T}.",
            "\"Is that the {T}?\" said {P} in the {L} and took it.",
            "{P} came to the {L} and was happy to find the {T}.");

    private static final List<String> GIVING = List.of(
            "{P} gave the {T} to {Q}.",
            "{P} handed the {T} to {Q}.",
            "{P} lent the {T} to {Q}.",
            "{Q} asked for the {T}, and {P} gave it away.",
            "\"You may have the {T},\" said {P} to {Q}.",
            "{P} made {Q} happy with a gift: the {T}.",
            "Because {Q} had been kind, {P} let {Q} have the {T}.");

    private static final List<String> PAUSES = List.of(
            "A cat watched from the wall.",
            "Somewhere a dog barked.",
            "The wind turned.",
            "Nobody said a word.",
            "A kettle began to sing.",
            "It started to rain.",
            "The sun came out.",
            "The clouds moved on.",
            "Far away a door closed.",
            "Everyone laughed.",
            "Then it was time for tea.",
            "The hours went by.",
            "A leaf fell from the old oak.",
            "Two geese flew over the roofs.");

    private static final List<String> ECHOES = List.of(
            "It was quiet in the {L}.",
            "The {L} smelled of apples.",
            "How nice it was in the {L}!",
            "The door of the {L} stood open.",
            "The {L} was full of light.",
            "One could hear the birds in the {L}.",
            "The {L} had never looked so fine.",
            "Even the mice of the {L} kept still.");

    private static final List<String> ENDINGS = List.of(
            "And so the day ended.",
            "Then everyone had soup.",
            "That is all that happened.",
            "Soon the stars came out.",
            "And then it was time for bed.",
            "What a day it was!",
            "Nothing else happened that day.");

    private final List<Event> events = new ArrayList<>();
    private final Map<Thing, Person> owners = new LinkedHashMap<>();
    private final List<Person> cast;
    private final String text;

    private Story(Draw draw) {
        cast = draw.some(PEOPLE, draw.between(2, 3));
        List<String> places = draw.some(PLACES, 4);
        List<String> colours = draw.some(COLOURS, 2);
        List<String> names = draw.some(THINGS, 2);
        List<Thing> things = new ArrayList<>();
        for (int i = 0; i < draw.between(1, 2); i++) {
            things.add(new Thing(names.get(i), colours.get(i)));
        }

        List<String> lines = new ArrayList<>();
        if (draw.chance(0.6)) {
            lines.add(draw.pick(DAYS) + " " + draw.pick(WEATHER) + " " + draw.pick(TIMES) + ".");
        }
        Map<Thing, Person> holders = new LinkedHashMap<>();
        Map<Thing, String> spots = new LinkedHashMap<>();
        for (int i = 0; i < things.size(); i++) {
            Thing thing = things.get(i);
            owners.put(thing, cast.get(i));
            holders.put(thing, cast.get(i));
            lines.add(told(draw.pick(INTRODUCTIONS), cast.get(i), thing.coloured(), ""));
        }
        Map<Person, String> at = new LinkedHashMap<>();
        int length = draw.between(3, 5);
        while (events.size() < length) {
            Event event = next(draw, places, things, holders, spots, at);
            if (event == null) {
                continue;
            }
            events.add(event);
            if (draw.chance(0.2)) {
                lines.add(draw.pick(PAUSES));
            }
            lines.add(told(draw, event));
            String place = place(event);
            if (place != null && draw.chance(0.25)) {
                lines.add(draw.pick(ECHOES).replace("{L}", place));
            }
        }
        if (draw.chance(0.4)) {
            lines.add(draw.pick(ENDINGS));
        }
        text = String.join(" ", lines);
    }

    private static Person she(String name) {
        return new Person(name, "she", "her");
    }

    private static Person he(String name) {
        return new Person(name, "he", "his");
    }

    /** Something that may happen now, with the books kept; null if the draw was an impossible one. */
    private Event next(
            Draw draw,
            List<String> places,
            List<Thing> things,
            Map<Thing, Person> holders,
            Map<Thing, String> spots,
            Map<Person, String> at) {
        if (draw.chance(0.3)) {
            Person person = draw.pick(cast);
            String place = draw.pick(places);
            if (holders.containsValue(person) || place.equals(at.get(person))) {
                return null;
            }
            at.put(person, place);
            return new Event.Go(person, place);
        }
        Thing thing = draw.pick(things);
        Person holder = holders.get(thing);
        if (holder == null) {
            Person person = draw.pick(cast);
            if (holders.containsValue(person)) {
                return null;
            }
            String place = spots.remove(thing);
            holders.put(thing, person);
            at.put(person, place);
            return new Event.Take(person, thing, place);
        }
        int act = draw.between(1, 3);
        if (act == 1) {
            String place = draw.pick(places);
            if (place.equals(at.get(holder))) {
                return null;
            }
            at.put(holder, place);
            return new Event.Carry(holder, thing, place);
        }
        if (act == 2) {
            String place = draw.pick(places);
            holders.remove(thing);
            spots.put(thing, place);
            at.put(holder, place);
            return new Event.Leave(holder, thing, place);
        }
        Person other = draw.pick(cast);
        if (holders.containsValue(other)) {
            return null;
        }
        holders.put(thing, other);
        at.remove(holder);
        at.remove(other);
        return new Event.Give(holder, other, thing);
    }

    /** Where it happened; null for a gift. */
    private static String place(Event event) {
        return switch (event) {
            case Event.Go e -> e.place();
            case Event.Carry e -> e.place();
            case Event.Leave e -> e.place();
            case Event.Take e -> e.place();
            case Event.Give e -> null;
        };
    }

    private static String told(Draw draw, Event event) {
        String place = place(event);
        return switch (event) {
            case Event.Go e -> told(draw.pick(GOING), e.person(), "", place);
            case Event.Carry e -> told(draw.pick(CARRYING), e.person(), called(draw, e.thing()), place);
            case Event.Leave e -> told(draw.pick(LEAVING), e.person(), called(draw, e.thing()), place);
            case Event.Take e -> told(draw.pick(TAKING), e.person(), called(draw, e.thing()), place);
            case Event.Give e ->
                told(draw.pick(GIVING), e.from(), called(draw, e.thing()), "").replace("{Q}", e.to().name());
        };
    }

    /** A thing's name, now and then with its colour. */
    private static String called(Draw draw, Thing thing) {
        return draw.chance(0.3) ? thing.coloured() : thing.name();
    }

    private static String told(String template, Person person, String thing, String place) {
        return Draw.fill(
                template, "P", person.name(), "she", person.she(), "her", person.her(), "T", thing, "L", place);
    }

    /** A story in which anything may be asked. */
    static Story tell(Draw draw) {
        return new Story(draw);
    }

    /** A story with some questions about it, at times with none. */
    static String document(Draw draw) {
        Story story = tell(draw);
        StringBuilder out = new StringBuilder(story.text);
        List<Query> all = draw.shuffled(story.queries(draw));
        int asked = draw.chance(0.15) ? 0 : draw.between(2, 4);
        for (Query query : all.subList(0, Math.min(all.size(), asked))) {
            out.append('\n').append(query.exchange());
        }
        return out.toString();
    }

    /** A question about a new story. */
    static Query query(Draw draw) {
        return draw.pick(tell(draw).queries(draw));
    }

    /** The story itself, one line. */
    String text() {
        return text;
    }

    /** What happened, in order. */
    List<Event> events() {
        return List.copyOf(events);
    }

    /** Who had each thing when the story began. */
    Map<Thing, Person> owners() {
        return Map.copyOf(owners);
    }

    /** All that can be asked, every question once. */
    List<Query> queries(Draw draw) {
        List<Query> out = new ArrayList<>();
        for (Map.Entry<Thing, Person> entry : owners.entrySet()) {
            Thing thing = entry.getKey();
            out.add(ask(
                    draw,
                    "What colour is " + thing.the() + "?",
                    "The " + thing.name() + " is {V}.",
                    thing.colour(),
                    owners.keySet().stream().map(Thing::colour).toList(),
                    COLOURS));
            String place = null;
            Person holder = entry.getValue();
            for (Event event : events) {
                switch (event) {
                    case Event.Carry e
                    when e.thing().equals(thing) -> {
                        place = e.place();
                        holder = e.person();
                    }
                    case Event.Leave e
                    when e.thing().equals(thing) -> {
                        place = e.place();
                        holder = null;
                    }
                    case Event.Take e
                    when e.thing().equals(thing) -> {
                        place = e.place();
                        holder = e.person();
                    }
                    case Event.Give e
                    when e.thing().equals(thing) -> {
                        place = null;
                        holder = e.to();
                    }
                    default -> {}
                }
            }
            if (place != null) {
                String sentence = "The " + thing.name() + " is in the {V}.";
                out.add(ask(draw, "Where is " + thing.the() + "?", sentence, place, places(), PLACES));
            }
            if (holder != null) {
                String sentence = "{V} has " + thing.the() + ".";
                out.add(ask(draw, "Who has " + thing.the() + "?", sentence, holder.name(), castNames(), allNames()));
            }
            out.add(ask(
                    draw,
                    "Who had " + thing.the() + " at first?",
                    "{V} had " + thing.the() + " at first.",
                    entry.getValue().name(),
                    castNames(),
                    allNames()));
        }
        for (Person person : cast) {
            String place = null;
            for (Event event : events) {
                switch (event) {
                    case Event.Go e when e.person().equals(person) -> place = e.place();
                    case Event.Carry e when e.person().equals(person) -> place = e.place();
                    case Event.Take e when e.person().equals(person) -> place = e.place();
                    case Event.Leave e when e.person().equals(person) -> place = null;
                    case Event.Give e when e.from().equals(person) || e.to().equals(person) -> place = null;
                    default -> {}
                }
            }
            if (place != null) {
                String sentence = person.name() + " is in the {V}.";
                out.add(ask(draw, "Where is " + person.name() + "?", sentence, place, places(), PLACES));
            }
        }
        return out;
    }

    private List<String> castNames() {
        return cast.stream().map(Person::name).toList();
    }

    private static List<String> allNames() {
        return PEOPLE.stream().map(Person::name).toList();
    }

    private List<String> places() {
        Set<String> out = new LinkedHashSet<>();
        for (Event event : events) {
            out.add(place(event));
        }
        out.remove(null);
        return new ArrayList<>(out);
    }

    /** False answers come from the story itself first. */
    private Query ask(Draw draw, String question, String sentence, String value, List<String> near, List<String> all) {
        Set<String> others = new LinkedHashSet<>(draw.shuffled(near));
        others.addAll(draw.shuffled(all));
        others.remove(value);
        List<String> wrong =
                others.stream().limit(3).map(v -> sentence.replace("{V}", v)).toList();
        return new Query(text + "\n", question, sentence.replace("{V}", value), wrong);
    }
}
