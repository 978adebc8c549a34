package dev.gosset.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The rooms of the kernels, by the imports in their sources: arrows go down, and nobody climbs far. */
class RoomsTest {
    private static final String ROOT = "dev.gosset.core.kernel";
    private static final Pattern IMPORT = Pattern.compile(
            "^import (?:static )?(" + Pattern.quote(ROOT) + "(?:\\.[a-z]+)*)\\.[A-Z]", Pattern.MULTILINE);
    private static final int MOST_FLOORS = 8;

    @Test
    void arrowsGoDownAndFloorsAreFew() throws IOException {
        Map<String, TreeSet<String>> arrows = arrows(Path.of("src/main/java", ROOT.split("\\.")));
        assertThat(arrows).containsKey(ROOT).hasSizeGreaterThan(5);
        Map<String, Integer> floors = new TreeMap<>();
        for (String room : arrows.keySet()) {
            floor(room, arrows, floors, new ArrayList<>());
        }
        System.out.println("RoomsTest: " + arrows.size() + " rooms, "
                + arrows.values().stream().mapToInt(TreeSet::size).sum() + " arrows, floors " + floors);
        assertThat(floors.values()).allSatisfy(f -> assertThat(f).isLessThanOrEqualTo(MOST_FLOORS));
        assertThat(arrows.entrySet())
                .as("rooms that know the choice among them")
                .noneMatch(e -> e.getValue().contains(ROOT));
    }

    /** Each room with the rooms that its files import. */
    private static Map<String, TreeSet<String>> arrows(Path folder) throws IOException {
        Map<String, TreeSet<String>> arrows = new TreeMap<>();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : (Iterable<Path>) files.filter(f -> f.toString().endsWith(".java"))::iterator) {
                Path room = folder.relativize(file.getParent());
                String name = room.toString().isEmpty()
                        ? ROOT
                        : ROOT + "." + room.toString().replace('/', '.');
                TreeSet<String> known = arrows.computeIfAbsent(name, _ -> new TreeSet<>());
                Matcher imports = IMPORT.matcher(Files.readString(file));
                while (imports.find()) {
                    if (!imports.group(1).equals(name)) {
                        known.add(imports.group(1));
                    }
                }
            }
        }
        return arrows;
    }

    /** 1 for a room that imports none, else one more than the highest that it imports. */
    private static int floor(
            String room, Map<String, TreeSet<String>> arrows, Map<String, Integer> floors, List<String> way) {
        assertThat(way).as("a circle of rooms").doesNotContain(room);
        Integer known = floors.get(room);
        if (known != null) {
            return known;
        }
        way.add(room);
        int floor = 1;
        for (String below : arrows.get(room)) {
            floor = Math.max(floor, 1 + floor(below, arrows, floors, way));
        }
        way.removeLast();
        floors.put(room, floor);
        return floor;
    }
}
