// The intrusive tree against std::multiset, and its height.
#include "base/tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace leat {
namespace {

struct Item {
  uint32_t seq = 0;
  int id = 0;
  TreeNode node;
};
struct BySeq {
  bool operator()(const Item& a, const Item& b) const { return static_cast<int32_t>(a.seq - b.seq) < 0; }
};
using ItemTree = Tree<Item, &Item::node, BySeq>;

std::vector<int> ids(const ItemTree& tree) {
  std::vector<int> out;
  for (Item* i = tree.first(); i != nullptr; i = tree.next(i))
    out.push_back(i->id);
  return out;
}

int height(const TreeNode* n) {
  if (n == nullptr) return 0;
  const int before = height(n->child[0]);
  const int after = height(n->child[1]);
  EXPECT_EQ(static_cast<int>(n->link & 3) - 2, after - before);
  EXPECT_LE(std::abs(after - before), 1);
  return 1 + std::max(before, after);
}

TEST(Tree, AnEmptyTreeHasNoEnds) {
  ItemTree tree;
  EXPECT_TRUE(tree.is_empty());
  EXPECT_EQ(tree.first(), nullptr);
  EXPECT_EQ(tree.last(), nullptr);
  EXPECT_EQ(tree.pop_first(), nullptr);
  EXPECT_EQ(tree.find_first([](const Item&) { return true; }), nullptr);
}

TEST(Tree, SortsAcrossTheWrapOfSequenceNumbersAndKeepsEqualOnesInOrderOfArrival) {
  Item a{4294967290u, 1, {}}, b{5, 2, {}}, c{4294967295u, 3, {}}, d{5, 4, {}};
  ItemTree tree;
  for (Item* i : {&b, &a, &d, &c})
    tree.insert(i);
  EXPECT_EQ(ids(tree), (std::vector<int>{1, 3, 2, 4}));
  EXPECT_EQ(tree.prev(&b), &c);
  EXPECT_EQ(tree.last(), &d);
  EXPECT_EQ(tree.lower_bound(Item{0, 0, {}}), &b);
  EXPECT_EQ(tree.find_last([](const Item& i) { return i.seq > 5; }), &c);
  EXPECT_EQ(tree.pop_first(), &a);
  EXPECT_FALSE(a.node.is_linked());
}

TEST(Tree, InsertsBesideAGivenObject) {
  Item a{1, 1, {}}, b{1, 2, {}}, c{1, 3, {}}, d{1, 4, {}}, e{1, 5, {}};
  ItemTree tree;
  tree.insert(&c);
  tree.insert_before(&c, &b);
  tree.insert_after(&c, &d);
  tree.insert_before(&b, &a);
  tree.insert_after(&d, &e);
  EXPECT_EQ(ids(tree), (std::vector<int>{1, 2, 3, 4, 5}));
}

TEST(Tree, BehavesLikeASortedVectorUnderRandomOperationsAndStaysBalanced) {
  struct Open : ItemTree {
    const TreeNode* root() const { return root_; }
  };
  auto random = [engine = std::mt19937(11)]() mutable { return static_cast<uint32_t>(engine()); };
  std::vector<Item> items(1000);
  for (size_t i = 0; i < items.size(); ++i)
    items[i].id = static_cast<int>(i);
  Open tree;
  std::vector<Item*> model;
  const auto before = [](const Item* a, const Item* b) { return BySeq()(*a, *b); };
  for (int step = 0; step < 30'000; ++step) {
    Item& item = items[random() % items.size()];
    if (item.node.is_linked()) {
      tree.erase(&item);
      model.erase(std::find(model.begin(), model.end(), &item));
    } else if (random() % 4 == 0 && !model.empty()) {
      const size_t at = random() % model.size();
      item.seq = model[at]->seq;
      tree.insert_after(model[at], &item);
      model.insert(model.begin() + static_cast<ptrdiff_t>(at) + 1, &item);
    } else {
      item.seq = 4294967000u + random() % 600;
      tree.insert(&item);
      model.insert(std::upper_bound(model.begin(), model.end(), &item, before), &item);
    }
    ASSERT_EQ(tree.first(), model.empty() ? nullptr : model.front());
    ASSERT_EQ(tree.last(), model.empty() ? nullptr : model.back());
    const Item key{4294967000u + random() % 600, 0, {}};
    const auto found = std::lower_bound(model.begin(), model.end(), &key, before);
    ASSERT_EQ(tree.lower_bound(key), found == model.end() ? nullptr : *found);
    ASSERT_EQ(tree.find_last([&](const Item& i) { return BySeq()(i, key); }),
              found == model.begin() ? nullptr : found[-1]);
    if (step % 500 != 0) continue;
    EXPECT_LE(height(tree.root()), 1.45 * std::log2(static_cast<double>(model.size()) + 2));
    Item* back = tree.last();
    for (size_t i = model.size(); i-- > 0; back = tree.prev(back))
      ASSERT_EQ(back, model[i]);
    Item* forth = tree.first();
    for (size_t i = 0; i < model.size(); forth = tree.next(forth), ++i)
      ASSERT_EQ(forth, model[i]);
  }
}

TEST(Tree, AscendingInsertsStayLogarithmic) {
  struct Open : ItemTree {
    const TreeNode* root() const { return root_; }
  };
  std::vector<Item> items(4095);
  Open tree;
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].seq = static_cast<uint32_t>(i);
    tree.insert(&items[i]);
  }
  EXPECT_EQ(height(tree.root()), 12);
  for (size_t i = 0; i + 1 < items.size(); ++i)
    ASSERT_EQ(tree.pop_first(), &items[i]);
  EXPECT_EQ(height(tree.root()), 1);
}

TEST(TreeDeathTest, InsertingTwiceIsAFailedCheck) {
  Item a;
  ItemTree tree;
  tree.insert(&a);
  EXPECT_DEATH(tree.insert(&a), "");
}

}  // namespace
}  // namespace leat
