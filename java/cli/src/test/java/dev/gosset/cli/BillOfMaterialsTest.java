package dev.gosset.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** What is published stands in the bill of materials, and nothing else. */
class BillOfMaterialsTest {
    private static final Path ROOT = Path.of("../..");

    private static Element read(Path pom) throws Exception {
        Document document =
                DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(pom.toFile());
        return document.getDocumentElement();
    }

    private static List<String> texts(Element element, String tag) {
        List<String> texts = new ArrayList<>();
        NodeList found = element.getElementsByTagName(tag);
        for (int i = 0; i < found.getLength(); i++) {
            texts.add(found.item(i).getTextContent());
        }
        return texts;
    }

    /** Of the project itself, not of its parent or what it depends on. */
    private static String own(Element project, String tag) throws IOException {
        for (var node = project.getFirstChild(); node != null; node = node.getNextSibling()) {
            if (node.getNodeName().equals(tag)) {
                return node.getTextContent();
            }
        }
        throw new IOException("a POM without " + tag);
    }

    @Test
    void namesWhatIsPublished() throws Exception {
        List<String> published = new ArrayList<>();
        for (String module : texts(read(ROOT.resolve("pom.xml")), "module")) {
            Path pom = ROOT.resolve(module).resolve("pom.xml");
            Element project = read(pom);
            String artifact = own(project, "artifactId");
            boolean skipped = Files.readString(pom).contains("<maven.deploy.skip>true</maven.deploy.skip>");
            if (!skipped && !artifact.equals("gosset-bom")) {
                published.add(artifact);
            }
        }
        Element bill = read(ROOT.resolve("java/bom/pom.xml"));
        assertThat(published).hasSizeGreaterThan(5);
        assertThat(texts(bill, "artifactId").stream().filter(a -> a.startsWith("gosset-") && !a.equals("gosset-bom")))
                .containsExactlyInAnyOrderElementsOf(published);
        assertThat(own(bill, "version")).isEqualTo(own(read(ROOT.resolve("pom.xml")), "version"));
    }
}
